//! Requests that the server itself sends: only to hosts that its operator has listed.
//!
//! No redirect is followed and no proxy of the environment is used. A listed name that resolves to a private address is refused,
//! unless that address is listed too: whoever controls a name must not reach what only this machine reaches.

mod address;
mod host;
mod url;

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

pub use address::is_public;
pub use host::{AllowedHost, HostList, UrlError};
pub use url::HttpUrl;

/// How long a request may take, from the name to the last byte of the answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A client that reaches the listed hosts and no others.
#[must_use]
pub fn client(hosts: &HostList) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("graft/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(PATIENCE))
        .build();
    let resolver = ListedResolver { hosts: Arc::new(hosts.clone()), inner: DefaultResolver::default() };
    Agent::with_parts(config, DefaultConnector::default(), resolver)
}

/// Resolves names, and keeps the addresses that may be reached.
struct ListedResolver {
    hosts: Arc<HostList>,
    inner: DefaultResolver,
}

impl std::fmt::Debug for ListedResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListedResolver").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Resolver for ListedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.hosts.check(uri).map_err(|error| ureq::Error::Other(Box::new(error)))?;
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        found.iter().filter(|address| self.hosts.reaches(address.ip())).for_each(|address| allowed.push(*address));
        if allowed.is_empty() {
            let host = uri.host().unwrap_or_default().to_owned();
            return Err(ureq::Error::Other(Box::new(UrlError::Private(host))));
        }
        Ok(allowed)
    }
}
