//! One file from an HTTP server, whole and checked.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use models::files::rename_durably;
use thiserror::Error;
use trainer::events::{Event, Observer, Phase};
use ureq::http::Response;
use ureq::{Agent, Body};

use super::{MIB, RemoteFile};

/// How often a transfer that breaks off is taken up again.
const RETRIES: usize = 3;
/// Bytes that are read at a time; between two reads the observer is asked whether to stop.
const CHUNK: usize = 1 << 18;
/// How long a server may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The server has no such file.
    #[error("{url} is not there; if it has moved, fetch the file by hand and name it with --data FILE")]
    Missing {
        /// The file's address.
        url: String,
    },
    /// The network or the server fails.
    #[error(
        "{url} cannot be fetched: {reason}; run the command again to go on where it stopped, name a mirror with \
         --dataset-endpoint, or fetch the file by hand and name it with --data FILE"
    )]
    Network {
        /// The file's address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// Another file than the published one.
    #[error(
        "{url} is another file than the one that was published ({reason}); nothing was kept; name another mirror with \
         --dataset-endpoint, or fetch the file by hand, look at it, and name it with --data FILE"
    )]
    Wrong {
        /// The file's address.
        url: String,
        /// How that is known.
        reason: String,
    },
    /// Another process is fetching it.
    #[error("{} is being fetched by another process; wait for it", .path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The observer asked to stop.
    #[error("stopped; the same command goes on where it was")]
    Stopped,
}

/// Fetches a file into a folder, which it creates. Until the file is complete and verified its name is `NAME.part`. An
/// interrupted transfer resumes if the server supports ranges; a file that fails its check is deleted.
///
/// Emits [`Event::Progress`] of [`Phase::Data`] in MiB.
///
/// # Errors
/// [`FetchError`]; there is no file of that name then.
pub fn fetch(
    file: &RemoteFile<'_>,
    endpoint: Option<&str>,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<PathBuf, FetchError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let target = folder.join(file.name());
    let mut transfer = Transfer::open(file, endpoint, folder.join(format!("{}.part", file.name())))?;
    let size = if file.bytes < MIB { String::new() } else { format!(" (about {} MiB)", file.bytes.div_ceil(MIB)) };
    observer.event(Event::Note { message: format!("fetching {}{size}", transfer.url) });
    let outcome = transfer.fetch(observer);
    if outcome.is_err() && transfer.length == 0 {
        // What it holds is nothing, so that failing to remove it is no harm.
        drop(fs::remove_file(&transfer.path));
    }
    outcome?;
    transfer.part.sync_all().and_then(|()| rename_durably(&transfer.path, &target)).map_err(at(&target))?;
    Ok(target)
}

struct Transfer<'a> {
    file: &'a RemoteFile<'a>,
    url: String,
    agent: Agent,
    /// What has come so far, locked against other processes.
    part: File,
    path: PathBuf,
    /// Its length in bytes.
    length: u64,
    /// The whole file's, as the server says; until it does, as the table says.
    total: u64,
    /// The progress in MiB that the observer has heard of.
    progress: u64,
}

/// Why a transfer ended before the file was whole.
enum TransferError {
    /// Another try may go on where this one ended.
    Network(String),
    /// Another try would end the same way.
    Final(FetchError),
}

impl<'a> Transfer<'a> {
    fn open(file: &'a RemoteFile<'a>, endpoint: Option<&str>, path: PathBuf) -> Result<Self, FetchError> {
        let part = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut part = part.map_err(at(&path))?;
        match part.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path }),
            Err(TryLockError::Error(source)) => return Err(FetchError::Io { path, source }),
        }
        let length = part.seek(SeekFrom::End(0)).map_err(at(&path))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("graft/", env!("CARGO_PKG_VERSION")))
            // An archive that is decompressed on the way is not the published file.
            .accept_encoding("identity")
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE));
        let (url, agent) = (file.address(endpoint), config.build().into());
        Ok(Self { file, url, agent, part, path, length, total: file.bytes, progress: 0 })
    }

    /// Until the file is whole and right. What was there of an earlier attempt may be what is wrong, so it is begun anew once.
    fn fetch(&mut self, observer: &mut dyn Observer) -> Result<(), FetchError> {
        let resumed = self.length > 0;
        self.complete(observer)?;
        let Err(wrong) = self.check() else { return Ok(()) };
        self.forget()?;
        if !resumed {
            return Err(wrong);
        }
        self.complete(observer)?;
        self.check().or_else(|wrong| self.forget().and(Err(wrong)))
    }

    /// Until the last byte has come, or no attempt gets any further.
    fn complete(&mut self, observer: &mut dyn Observer) -> Result<(), FetchError> {
        let mut left = RETRIES;
        loop {
            let before = self.length;
            match self.attempt(observer) {
                Ok(()) => return Ok(()),
                Err(TransferError::Final(error)) => return Err(error),
                Err(TransferError::Network(_)) if left > 0 && self.length > before => left -= 1,
                Err(TransferError::Network(reason)) => {
                    return Err(FetchError::Network { url: self.url.clone(), reason });
                }
            }
        }
    }

    /// One request for what is missing.
    fn attempt(&mut self, observer: &mut dyn Observer) -> Result<(), TransferError> {
        let mut response = self.ask()?;
        if response.status() == 416 {
            // Nothing is behind the end of what is there: it is whole, or of another file, which its check will say.
            return Ok(());
        }
        match response.status().as_u16() {
            206 if from(&response) == Some(self.length) => {}
            // The server sends all of it, whatever was asked for.
            200 | 206 => self.forget().map_err(TransferError::Final)?,
            404 | 410 => return Err(TransferError::Final(FetchError::Missing { url: self.url.clone() })),
            status => return Err(TransferError::Network(format!("the server answers with status {status}"))),
        }
        let rest = response.body().content_length();
        self.total = rest.map_or(self.total, |rest| self.length + rest);
        self.receive(&mut response, observer)?;
        match rest {
            Some(_) if self.length < self.total => Err(TransferError::Network("the connection broke off".to_owned())),
            _ => Ok(()),
        }
    }

    fn ask(&self) -> Result<Response<Body>, TransferError> {
        let request = self.agent.get(&self.url);
        let request =
            if self.length > 0 { request.header("range", format!("bytes={}-", self.length)) } else { request };
        request.call().map_err(|error| TransferError::Network(error.to_string()))
    }

    fn receive(&mut self, response: &mut Response<Body>, observer: &mut dyn Observer) -> Result<(), TransferError> {
        // No server may fill the disk: the sizes in the table are right within a few per cent.
        let most = 2 * self.file.bytes.max(self.file.bytes + MIB);
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            if observer.stopped() {
                return Err(TransferError::Final(FetchError::Stopped));
            }
            let count = body.read(&mut chunk).map_err(|error| TransferError::Network(error.to_string()))?;
            if count == 0 {
                return Ok(());
            }
            self.part.write_all(&chunk[..count]).map_err(at(&self.path)).map_err(TransferError::Final)?;
            self.length += count as u64;
            if self.length > most {
                self.forget().map_err(TransferError::Final)?;
                let reason = format!("it has more than {most} bytes");
                return Err(TransferError::Final(FetchError::Wrong { url: self.url.clone(), reason }));
            }
            self.tell(observer);
        }
    }

    fn tell(&mut self, observer: &mut dyn Observer) {
        let total = self.total.div_ceil(MIB);
        let progress = if self.length == self.total { total } else { self.length / MIB };
        if progress != self.progress {
            self.progress = progress;
            observer.event(Event::Progress { phase: Phase::Data, done: progress, total });
        }
    }

    /// Throws away what is there.
    fn forget(&mut self) -> Result<(), FetchError> {
        self.part.set_len(0).and_then(|()| self.part.rewind()).map_err(at(&self.path))?;
        (self.length, self.progress) = (0, 0);
        Ok(())
    }

    fn check(&mut self) -> Result<(), FetchError> {
        let failed = at(&self.path);
        let reason = self.part.rewind().and_then(|()| self.file.proof.difference(&mut self.part)).map_err(failed)?;
        match reason {
            Some(reason) => Err(FetchError::Wrong { url: self.url.clone(), reason }),
            None => Ok(()),
        }
    }
}

/// The first byte that a partial answer has.
fn from(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FetchError + use<> {
    let path = path.to_owned();
    move |source| FetchError::Io { path, source }
}
