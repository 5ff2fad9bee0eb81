//! Who may use the server: keys and their roles, host names, origins.

mod hosts;
mod key;
mod keys;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;

use crate::config::AccessArgs;
pub use hosts::HostPolicy;
pub use key::{Key, KeyError, NewKey, Role};
pub use keys::{Caller, Keys, RateLimited};

/// The keys in force and the names that requests may use.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    args: AccessArgs,
    keys: RwLock<Arc<Keys>>,
    hosts: HostPolicy,
}

/// The keys cannot be used, or the server would be open to strangers.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file of keys cannot be read.
    #[error("cannot read the keys in {}", path.display())]
    Unreadable {
        /// The file of keys.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line of the file is no key.
    #[error("{} line {line}", path.display())]
    Line {
        /// The file of keys.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        source: KeyError,
    },
    /// A key of the command line or the environment is none.
    #[error("--key (GRAFT_KEYS), key {number}")]
    Argument {
        /// Counted from 1.
        number: usize,
        /// What is wrong.
        source: KeyError,
    },
    /// Two keys have one name, so the log could not tell them apart.
    #[error("two keys are named `{0}`; give each a name of its own")]
    Twice(String),
    /// Everybody could do everything.
    #[error(
        "{0} is reachable from other machines, and there are no API keys; make one with `graft key new` and pass it \
         with --keys or GRAFT_KEYS, or say --insecure to serve everyone"
    )]
    Open(IpAddr),
}

impl Access {
    /// Reads the keys, and refuses to open the server to other machines without any.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn open(args: &AccessArgs, host: IpAddr) -> Result<Self, AccessError> {
        let keys = Keys::read(args)?;
        if keys.is_empty() && !args.insecure && !host.is_loopback() {
            return Err(AccessError::Open(host));
        }
        let hosts = match (args.allowed_hosts.is_empty(), keys.is_empty() && host.is_loopback()) {
            (true, false) => HostPolicy::Any,
            _ => HostPolicy::listed(&args.allowed_hosts),
        };
        Ok(Self(Arc::new(Inner { args: args.clone(), keys: RwLock::new(Arc::new(keys)), hosts })))
    }

    /// The keys in force.
    #[must_use]
    pub fn keys(&self) -> Arc<Keys> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys again. The old ones stay in force when the new ones cannot be used.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn reload(&self) -> Result<usize, AccessError> {
        let keys = Keys::read(&self.0.args)?;
        let open = keys.is_empty() && !self.keys().is_empty();
        if open {
            tracing::warn!("the file of keys is empty; the keys before stay in force");
            return Ok(self.keys().len());
        }
        let count = keys.len();
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(count)
    }

    /// The host names that requests may use.
    #[must_use]
    pub fn hosts(&self) -> &HostPolicy {
        &self.0.hosts
    }

    /// The origins whose pages may call the server.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.0.args.cors_origins
    }
}
