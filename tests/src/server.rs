//! A running server in a folder of its own, and the program's other commands on that folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response, multipart};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything here may take before the test fails. Generous: the machines that run tests are shared, and this
/// only bounds how long a hanging test is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program, built by the same `cargo test` beside the tests.
///
/// # Panics
/// When it is not there: `cargo test --workspace` builds it.
#[must_use]
pub fn graft() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("the test's own path: {error}"));
    let folder = test.ancestors().nth(2).unwrap_or(&test);
    let program = folder.join(format!("graft{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not built; run `cargo test --workspace`", program.display());
    program
}

/// A data folder that is gone when it is dropped.
pub struct Place {
    folder: TempDir,
}

impl Default for Place {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap_or_else(|error| panic!("a temporary folder: {error}")) }
    }
}

impl Place {
    /// A path in the folder, for files of the test.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program on this data folder. It finds ONNX Runtime only if the test's own environment names one.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
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

    /// Runs a command that must succeed and returns what it printed.
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

    /// Runs a command that must fail and returns the error it printed.
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

    /// Starts a server on a free port and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn serve(&self, arguments: &[&str]) -> Server {
        let mut command = self.command(&["serve", "--port", "0"]);
        let started = command.args(arguments).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("graft serve: {error}"));
        let mut first = String::new();
        if let Some(stdout) = child.stdout.take() {
            let mut lines = BufReader::new(stdout);
            lines.read_line(&mut first).unwrap_or_else(|error| panic!("the first line: {error}"));
            // Whatever else is printed must have a reader.
            std::thread::spawn(move || lines.lines().map_while(Result::ok).for_each(drop));
        }
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("no address in {first:?}"));
        let client = Client::builder().timeout(PATIENCE).build().unwrap_or_else(|error| panic!("a client: {error}"));
        let server = Server { child, url, client };
        server.wait("the server is ready", || server.get("/health/ready").status().is_success().then_some(()));
        server
    }
}

/// A running server; killed when it is dropped.
pub struct Server {
    child: Child,
    url: String,
    client: Client,
}

impl Server {
    /// Asks until there is an answer.
    ///
    /// # Panics
    /// When there is none for long.
    pub fn wait<T>(&self, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// `GET`.
    ///
    /// # Panics
    /// When there is no answer at all.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.send(self.client.get(format!("{}{path}", self.url)))
    }

    /// `POST` of a body.
    ///
    /// # Panics
    /// When there is no answer at all.
    #[must_use]
    pub fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Response {
        self.send(self.client.post(format!("{}{path}", self.url)).header("content-type", content_type).body(body))
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    /// When there is no answer at all.
    #[must_use]
    pub fn post_json(&self, path: &str, body: &Value) -> Response {
        self.post(path, "application/json", body.to_string().into_bytes())
    }

    /// `POST` of image files as a form.
    ///
    /// # Panics
    /// When there is no answer at all.
    #[must_use]
    pub fn post_images(&self, path: &str, images: &[(&str, Vec<u8>)]) -> Response {
        let part =
            |(name, bytes): &(&str, Vec<u8>)| multipart::Part::bytes(bytes.clone()).file_name((*name).to_owned());
        let form = images.iter().fold(multipart::Form::new(), |form, image| form.part("image", part(image)));
        self.send(self.client.post(format!("{}{path}", self.url)).multipart(form))
    }

    /// Follows a fine-tune to its end and returns it.
    ///
    /// # Panics
    /// When it does not end.
    #[must_use]
    pub fn finished(&self, job: &str) -> Value {
        self.wait("the job has ended", || {
            let job = json(self.get(&format!("/finetune/{job}")));
            matches!(job["state"].as_str(), Some("succeeded" | "failed" | "cancelled")).then_some(job)
        })
    }

    /// Sends SIGKILL: the server has no chance to put anything in order.
    ///
    /// # Panics
    /// When the process is gone already.
    pub fn kill(mut self) {
        self.child.kill().unwrap_or_else(|error| panic!("SIGKILL: {error}"));
    }

    fn send(&self, request: reqwest::blocking::RequestBuilder) -> Response {
        request.send().unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The body of an answer.
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
