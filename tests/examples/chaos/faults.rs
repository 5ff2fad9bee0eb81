//! What happens to the machine that the server runs on.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tests::server::{Sandbox, Server};

use super::{Outcome, Random};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// SIGKILL to the server, which is started again.
    Kill,
    /// SIGKILL to the training process.
    KillTraining,
    /// The server stands still for some seconds, longer than a lease or shorter.
    Pause,
    /// No file grows for some seconds.
    FullDisk,
    /// A server whose log has no room: it is started again with standard error on a full device.
    FullLog,
    /// A server whose log has no reader.
    ClosedLog,
    /// A new version of the classifier is damaged.
    DamagedVersion,
    /// A stray file among the models.
    StrayFile,
    /// SIGTERM, then a new server.
    Restart,
    /// SIGHUP.
    Reload,
    /// A client that never sends the whole of its request.
    SlowClient,
}

impl Fault {
    pub(super) const ALL: [Fault; 11] = [
        Fault::Kill,
        Fault::KillTraining,
        Fault::Pause,
        Fault::FullDisk,
        Fault::FullLog,
        Fault::ClosedLog,
        Fault::DamagedVersion,
        Fault::StrayFile,
        Fault::Restart,
        Fault::Reload,
        Fault::SlowClient,
    ];
}

/// Short leases; more attempts than faults; a queue that a slow machine works off at the end.
const ARGUMENTS: [&str; 6] = ["--job-lease-seconds", "3", "--job-attempts", "100", "--max-queued-jobs", "5"];

/// The sandbox and the server in it.
pub(super) struct Host<'a> {
    sandbox: &'a Sandbox,
    server: Option<Server>,
    counts: BTreeMap<Fault, u32>,
    pub(super) url: Arc<RwLock<String>>,
    pub(super) random: Random,
}

impl<'a> Host<'a> {
    pub(super) fn start(sandbox: &'a Sandbox, random: Random) -> Outcome<Self> {
        let mut host = Self { sandbox, server: None, counts: BTreeMap::new(), url: Arc::default(), random };
        host.serve(Stdio::null())?;
        Ok(host)
    }

    pub(super) fn address(&self) -> String {
        self.url.read().map(|url| url.clone()).unwrap_or_default()
    }

    pub(super) fn summary(&self) -> String {
        let counts: Vec<String> = self.counts.iter().map(|(fault, count)| format!("{count} {fault:?}")).collect();
        counts.join(", ")
    }

    /// A fault by chance.
    pub(super) fn pick(&mut self) -> Fault {
        let fault = self.random.pick(&Fault::ALL);
        *self.counts.entry(fault).or_default() += 1;
        fault
    }

    /// Does it, and undoes what can be undone.
    pub(super) fn inflict(&mut self, fault: Fault) -> Outcome<()> {
        match fault {
            Fault::Kill => self.end(Signal::KILL, Stdio::null())?,
            Fault::Restart => self.end(Signal::TERM, Stdio::null())?,
            Fault::FullLog => {
                let full = fs::File::options().write(true).open("/dev/full")?;
                self.end(Signal::KILL, full.into())?;
            }
            Fault::ClosedLog => {
                let (reader, writer) = std::io::pipe()?;
                drop(reader);
                self.end(Signal::KILL, writer.into())?;
            }
            Fault::KillTraining => {
                for child in self.children()? {
                    // It may have ended meanwhile.
                    kill_process(child, Signal::KILL).ok();
                }
            }
            Fault::Pause => {
                let pause = Duration::from_millis(self.random.below(6000));
                self.signal(Signal::STOP)?;
                thread::sleep(pause);
                self.signal(Signal::CONT)?;
            }
            Fault::FullDisk => {
                let full = Duration::from_millis(500 + self.random.below(4000));
                self.limit_files(Some(8192))?;
                thread::sleep(full);
                self.limit_files(None)?;
            }
            Fault::DamagedVersion => self.damage()?,
            Fault::StrayFile => {
                fs::write(self.sandbox.path("data/models").join(format!("stray{}", self.random.below(10))), "stray")?;
            }
            Fault::Reload => self.signal(Signal::HUP)?,
            Fault::SlowClient => {}
        }
        Ok(())
    }

    /// A server that nothing is wrong with.
    pub(super) fn recover(&mut self) -> Outcome<()> {
        self.end(Signal::TERM, Stdio::null())
    }

    fn serve(&mut self, log: Stdio) -> Outcome<()> {
        let server = self.sandbox.serve_with_log(&ARGUMENTS, log);
        *self.url.write().map_err(|_| "the address is lost")? = server.url().to_owned();
        self.server = Some(server);
        Ok(())
    }

    fn end(&mut self, signal: Signal, log: Stdio) -> Outcome<()> {
        if let Some(mut server) = self.server.take() {
            kill_process(pid(server.child()), signal)?;
            server.child_mut().wait()?;
        }
        self.serve(log)
    }

    fn signal(&self, signal: Signal) -> Outcome<()> {
        let server = self.server.as_ref().ok_or("there is no server")?;
        Ok(kill_process(pid(server.child()), signal)?)
    }

    /// The training processes of the server.
    fn children(&self) -> Outcome<Vec<Pid>> {
        let server = pid(self.server.as_ref().ok_or("there is no server")?.child()).as_raw_nonzero();
        let mut children = Vec::new();
        for task in fs::read_dir(format!("/proc/{server}/task"))?.flatten() {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            children.extend(text.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)));
        }
        Ok(children)
    }

    /// Lets no file of the server and of its training process grow above so many bytes.
    fn limit_files(&self, bytes: Option<u64>) -> Outcome<()> {
        let server = pid(self.server.as_ref().ok_or("there is no server")?.child());
        for process in self.children()?.into_iter().chain([server]) {
            // A training process may have ended meanwhile.
            prlimit(Some(process), Resource::Fsize, Rlimit { current: bytes, maximum: None }).ok();
        }
        Ok(())
    }

    /// Copies the newest version of the classifier to the next number, with a file that is cut off.
    fn damage(&self) -> Outcome<()> {
        let model = self.sandbox.path("data/models/colors");
        let numbers =
            fs::read_dir(&model)?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let newest = numbers.max().ok_or("the classifier is gone")?;
        let (first, copy) = (model.join("1"), model.join(".copy"));
        fs::create_dir_all(copy.join("golden"))?;
        for folder in ["", "golden"] {
            for entry in fs::read_dir(first.join(folder))?.flatten().filter(|entry| entry.path().is_file()) {
                fs::copy(entry.path(), copy.join(folder).join(entry.file_name()))?;
            }
        }
        let file = fs::File::options().write(true).open(copy.join("model.onnx"))?;
        file.set_len(file.metadata()?.len() / 2)?;
        Ok(fs::rename(copy, model.join((newest + 1).to_string()))?)
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
