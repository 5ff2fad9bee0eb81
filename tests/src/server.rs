//! A running server in a folder of its own, and the program's other commands on that folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response, multipart};
use serde_json::Value;
use tempfile::TempDir;

/// How long a test waits for an answer. Generous, because the machines that run tests are shared and a training process
/// yields to everything else on them: it only bounds the time that a hanging test takes.
const PATIENCE: Duration = Duration::from_secs(600);

/// Lines that a server prints when it starts.
const GREETING: usize = 6;

/// The path of the program, which `cargo test --workspace` builds beside the tests.
///
/// # Panics
/// When it does not exist.
#[must_use]
pub fn graft() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("the test's own path: {error}"));
    let folder = test.ancestors().nth(2).unwrap_or(&test);
    let program = folder.join(format!("graft{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built; run `cargo test --workspace`", program.display());
    program
}

/// A temporary folder with a data folder in it, deleted on drop.
pub struct Sandbox {
    folder: TempDir,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap_or_else(|error| panic!("a temporary folder: {error}")) }
    }
}

impl Sandbox {
    /// A path in the temporary folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with this data folder and the test's environment, not yet started. The store holds what the test puts there
    /// and nothing else.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.newcomer(arguments);
        command.env("GRAFT_NO_STARTER", "true");
        command
    }

    /// The same as somebody has it who has just installed the program: with the model that it comes with.
    #[must_use]
    pub fn newcomer(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(graft());
        command.arg("--data-dir").arg(self.path("data")).args(arguments).env("GRAFT_LOG", "warn");
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap_or_else(|error| panic!("graft {arguments:?}: {error}"))
    }

    /// Runs a command that must succeed and returns its standard output.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        assert!(output.status.success(), "graft {arguments:?}: {err}");
        out
    }

    /// Runs a command that must fail and returns its standard error.
    ///
    /// # Panics
    /// When it succeeds, or dies of a panic or a signal.
    #[must_use]
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(1 | 2)), "graft {arguments:?}: {:?} {error}", output.status);
        error
    }

    /// Starts a server on a free port and waits until it is ready. Requests may name data in the temporary folder.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn serve(&self, arguments: &[&str]) -> Server {
        self.serve_with_log(arguments, Stdio::inherit())
    }

    /// The same with the log, which is standard error, somewhere else.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn serve_with_log(&self, arguments: &[&str], log: Stdio) -> Server {
        let mut command = self.command(&["serve"]);
        command.args(arguments);
        self.serve_command(command, log)
    }

    /// The same with `serve` and all other arguments given.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    pub fn serve_command(&self, command: Command, log: Stdio) -> Server {
        let server = self.start(command, log);
        server.wait("the server is ready", || server.get("/health/ready").status().is_success().then_some(()));
        server
    }

    /// The same without waiting until it is ready; a server of HTTPS cannot be asked by [`Server`]'s client.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(&self, mut command: Command, log: Stdio) -> Server {
        command.stderr(log);
        self.greeted(command).0
    }

    /// Starts a server, and returns it with what it prints for people.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn greeted(&self, mut command: Command) -> (Server, String) {
        command.args(["--port", "0", "--data-root"]).arg(self.folder.path());
        let started = command.stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("graft serve: {error}"));
        let mut greeting = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout);
            while greeting.lines().count() < GREETING {
                let read = lines.read_line(&mut greeting).unwrap_or_else(|error| panic!("a line: {error}"));
                if read == 0 {
                    break;
                }
            }
            // Whatever else is printed must have a reader.
            std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        }
        let url = greeting.split_whitespace().find(|word| word.contains("://")).map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("no address in {greeting:?}"));
        let client = Client::builder().timeout(PATIENCE).build().unwrap_or_else(|error| panic!("a client: {error}"));
        (Server { child, url, client }, greeting)
    }
}

/// A running server, killed on drop.
pub struct Server {
    child: Child,
    url: String,
    client: Client,
}

impl Server {
    /// Its address, `http://` or `https://` in front.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, to send it signals.
    #[must_use]
    pub fn child(&self) -> &Child {
        &self.child
    }

    /// The process, to wait for it.
    pub fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Calls `ask` every 100 ms until it returns something.
    ///
    /// # Panics
    /// After ten minutes.
    pub fn wait<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "timed out: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `GET`; any status is an answer.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.send(self.client.get(format!("{}{path}", self.url)))
    }

    /// `GET` with a header.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn get_with(&self, path: &str, name: &str, value: &str) -> Response {
        self.send(self.client.get(format!("{}{path}", self.url)).header(name, value))
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, address)| address)
    }

    /// Sends a signal by its name, such as `TERM`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} was not sent");
    }

    /// Waits until the server has ended.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap_or_else(|error| panic!("the server's end: {error}"))
    }

    /// `POST` of a body.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Response {
        self.send(self.client.post(format!("{}{path}", self.url)).header("content-type", content_type).body(body))
    }

    /// A request of any method with these headers; any status is an answer.
    ///
    /// # Panics
    /// When the method is none, or the connection fails.
    #[must_use]
    pub fn request(&self, request: Request<'_>) -> Response {
        let Request { method, path, headers, body } = request;
        let method = method.parse().unwrap_or_else(|_| panic!("{method} is no method"));
        let builder = self.client.request(method, format!("{}{path}", self.url)).body(body);
        self.send(headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value)))
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn post_json(&self, path: &str, body: &Value) -> Response {
        self.post(path, "application/json", body.to_string().into_bytes())
    }

    /// `POST` of image files, `(name, bytes)`, as a form.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn post_images(&self, path: &str, images: &[(&str, Vec<u8>)]) -> Response {
        let part =
            |(name, bytes): &(&str, Vec<u8>)| multipart::Part::bytes(bytes.clone()).file_name((*name).to_owned());
        let form = images.iter().fold(multipart::Form::new(), |form, image| form.part("image", part(image)));
        self.send(self.client.post(format!("{}{path}", self.url)).multipart(form))
    }

    /// `POST` of an image file, `(name, bytes)`, with a label, as a form.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn post_labeled(&self, path: &str, (name, bytes): (&str, Vec<u8>), label: &str) -> Response {
        let form = multipart::Form::new().text("label", label.to_owned());
        let form = form.part("image", multipart::Part::bytes(bytes).file_name(name.to_owned()));
        self.send(self.client.post(format!("{}{path}", self.url)).multipart(form))
    }

    /// Waits until a fine-tune has ended and returns the job.
    ///
    /// # Panics
    /// After ten minutes.
    #[must_use]
    pub fn finished(&self, job: &str) -> Value {
        self.wait("the job has ended", || {
            let job = json(self.get(&format!("/finetune/{job}")));
            matches!(job["state"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(job)
        })
    }

    /// Sends SIGKILL, which the server cannot handle.
    ///
    /// # Panics
    /// When the process has ended already.
    pub fn kill(mut self) {
        self.child.kill().unwrap_or_else(|error| panic!("SIGKILL: {error}"));
    }

    fn send(&self, request: reqwest::blocking::RequestBuilder) -> Response {
        request.send().unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }
}

/// A request of any method.
pub struct Request<'a> {
    /// Such as `PATCH`.
    pub method: &'a str,
    /// Behind the address of the server.
    pub path: &'a str,
    /// Names and values.
    pub headers: &'a [(&'a str, String)],
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The body of an answer, parsed.
///
/// # Panics
/// When it is not JSON.
#[must_use]
pub fn json(answer: Response) -> Value {
    let text = answer.text().unwrap_or_else(|error| panic!("the body: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A path as an argument.
///
/// # Panics
/// When it is not UTF-8, which a temporary folder's path is.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_else(|| panic!("{} is not UTF-8", path.display()))
}
