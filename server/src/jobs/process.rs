//! The process of a job, seen from the server.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use onnx::engine::ort;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::protocol::{ChildMessage, ControlMessage};
use crate::config::ServeConfig;
use crate::runtime::SelectedEngine;

/// How the process of a job is started.
#[derive(Debug, Clone)]
pub struct ChildCommand {
    /// What is executed.
    pub program: PathBuf,
    /// Without the program's own name.
    pub arguments: Vec<OsString>,
}

impl ChildCommand {
    /// This program with the command `job`: the same data, data roots, engine, and choice of provider and kernels as the
    /// server's.
    ///
    /// # Errors
    /// When the system does not tell where this program is.
    pub fn of_this_program(config: &ServeConfig, engine: &SelectedEngine) -> io::Result<Self> {
        // An import runs in the folder of its files, so that its messages name them as the client does.
        let data = std::path::absolute(config.data.root())?;
        let mut arguments: Vec<OsString> = vec!["job".into(), "--data-dir".into(), data.into()];
        arguments.extend(config.roots.data_roots.iter().flat_map(|root| ["--data-root".into(), root.into()]));
        arguments.extend(["--engine".into(), engine.kind.to_string().into()]);
        arguments.extend(["--threads".into(), engine.threads.to_string().into()]);
        arguments.extend(config.kernels.arguments());
        arguments.extend(config.provider.arguments());
        arguments.extend(config.log.arguments());
        if let Some(runtime) = ort::loaded() {
            arguments.extend(["--ort-lib".into(), runtime.path().into()]);
        }
        Ok(Self { program: std::env::current_exe()?, arguments })
    }
}

/// A running process. It is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the process. It shares the server's standard error.
    pub(super) fn spawn(command: &ChildCommand) -> io::Result<Self> {
        let mut child = tokio::process::Command::new(&command.program)
            .args(&command.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole group; the process is told by its input instead, in good order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = output.ok_or_else(|| io::Error::other("the process has no standard output"))?;
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    /// Sends a command. Sending to a process that has ended does nothing: [`report`](Self::report) shows its end.
    ///
    /// # Errors
    /// When the command cannot be written as JSON.
    pub(super) async fn send(&mut self, command: &ControlMessage) -> serde_json::Result<()> {
        let Some(input) = &mut self.input else { return Ok(()) };
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        if let Err(error) = input.write_all(&line).await {
            tracing::debug!(%error, "the process of a job takes no command");
        }
        Ok(())
    }

    /// Tells it to stop by ending its input.
    pub(super) fn close_input(&mut self) {
        self.input = None;
    }

    /// The next report; `None` when there will be no more. May be dropped while it waits, and nothing is lost.
    pub(super) async fn report(&mut self) -> io::Result<Option<ChildMessage>> {
        while let Some(line) = self.output.next_line().await? {
            match serde_json::from_str(&line) {
                Ok(report) => return Ok(Some(report)),
                Err(error) => tracing::warn!(line, %error, "the process of a job says what is no report"),
            }
        }
        Ok(None)
    }

    /// Waits for the end, and kills it if it takes too long.
    pub(super) async fn end(mut self, grace: Duration) -> io::Result<ExitStatus> {
        self.close_input();
        match timeout(grace, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.child.kill().await?;
                self.child.wait().await
            }
        }
    }
}

/// Describes the end of a process that sent no last report.
pub(super) fn describe(status: ExitStatus) -> String {
    let what = "the process of the job";
    match std::os::unix::process::ExitStatusExt::signal(&status) {
        Some(signal) => {
            let name = match signal {
                4 => "SIGILL",
                6 => "SIGABRT",
                7 => "SIGBUS",
                9 => "SIGKILL, which the system sends when memory runs out",
                11 => "SIGSEGV",
                15 => "SIGTERM",
                _ => "a signal without a common name",
            };
            format!("{what} was ended by signal {signal} ({name})")
        }
        None => format!("{what} ended early ({status}); the server's log may say why"),
    }
}
