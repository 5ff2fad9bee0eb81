//! The hosts that the server may send requests to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;
use ureq::http::Uri;

use super::is_public;

/// A host that the server may send requests to: a name or an address, and maybe the one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// In lower case, without brackets.
    host: String,
    port: Option<u16>,
}

/// The hosts that the server may send to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostList {
    hosts: Vec<AllowedHost>,
    /// Whether a listed name may have private addresses.
    private: PrivateAddresses,
}

/// Whether listed names may have private addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum PrivateAddresses {
    /// Only those that are listed themselves.
    #[default]
    Listed,
    /// All: the operator has named the one host.
    Allowed,
}

/// An address to which no request is sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// It is none.
    #[error("`{0}` is no address of a web server; use `https://HOST/PATH`")]
    Malformed(String),
    /// Its host is not listed.
    #[error("the host `{0}` is not listed")]
    NotListed(String),
    /// Its host's addresses are private.
    #[error("the host `{0}` has a private address that is not listed; list the address itself to allow it")]
    Private(String),
}

impl HostList {
    /// These hosts. Their private addresses count only if they are listed themselves.
    #[must_use]
    pub fn new(hosts: Vec<AllowedHost>) -> Self {
        Self { hosts, private: PrivateAddresses::Listed }
    }

    /// The host and port of this address alone, wherever it is.
    ///
    /// # Errors
    /// [`UrlError::Malformed`].
    pub fn only(url: &Uri) -> Result<Self, UrlError> {
        let (host, port) = host_and_port(url).ok_or_else(|| UrlError::Malformed(url.to_string()))?;
        let hosts = vec![AllowedHost { host, port: Some(port) }];
        Ok(Self { hosts, private: PrivateAddresses::Allowed })
    }

    /// Whether no host is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether a request may be sent to this address.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn check(&self, url: &Uri) -> Result<(), UrlError> {
        let (host, port) = host_and_port(url).ok_or_else(|| UrlError::Malformed(url.to_string()))?;
        let listed = |allowed: &AllowedHost| allowed.host == host && allowed.port.is_none_or(|listed| listed == port);
        if self.hosts.iter().any(listed) { Ok(()) } else { Err(UrlError::NotListed(host)) }
    }

    /// Whether a listed name may lead to this address.
    #[must_use]
    pub fn reaches(&self, address: IpAddr) -> bool {
        let listed = |allowed: &AllowedHost| allowed.host.parse() == Ok(address);
        self.private == PrivateAddresses::Allowed || is_public(address) || self.hosts.iter().any(listed)
    }
}

/// Of an address with a scheme that is spoken, and without a name and password in it.
fn host_and_port(url: &Uri) -> Option<(String, u16)> {
    let usual = match url.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = url.authority().filter(|authority| !authority.as_str().contains('@'))?;
    Some((bare(authority.host()), authority.port_u16().unwrap_or(usual)))
}

fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

impl FromStr for AllowedHost {
    type Err = String;

    /// `HOST`, `HOST:PORT`, `[ADDRESS]:PORT`, or an address of IPv6 alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let advice =
            || format!("`{text}` is no host; use `hooks.example.org`, `hooks.example.org:8443` or `[::1]:9000`");
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self { host: address.to_string(), port: None });
        }
        let authority: ureq::http::uri::Authority = text.parse().map_err(|_| advice())?;
        if authority.host().is_empty() || text.contains('@') || text.ends_with(':') {
            return Err(advice());
        }
        Ok(Self { host: bare(authority.host()), port: authority.port_u16() })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(hosts: &[&str]) -> HostList {
        HostList::new(hosts.iter().map(|host| host.parse().unwrap()).collect())
    }

    fn check(hosts: &[&str], url: &'static str) -> Result<(), UrlError> {
        list(hosts).check(&Uri::from_static(url))
    }

    #[test]
    fn a_host_is_listed_by_name_and_maybe_by_port() {
        let hosts = ["hooks.example.org", "other.example.org:8443", "[::1]:9000"];
        for url in [
            "https://hooks.example.org/a?b=c",
            "http://HOOKS.example.org:81/",
            "https://other.example.org:8443/",
            "http://[::1]:9000/",
        ] {
            assert_eq!(check(&hosts, url), Ok(()), "{url}");
        }
        for url in ["https://example.org/", "https://other.example.org/", "https://hooks.example.org.evil.net/"] {
            assert!(matches!(check(&hosts, url), Err(UrlError::NotListed(_))), "{url}");
        }
        for url in ["ftp://hooks.example.org/", "/hooks.example.org", "http://hooks.example.org@evil.net/"] {
            assert!(matches!(check(&hosts, url), Err(UrlError::Malformed(_))), "{url}");
        }
    }

    #[test]
    fn a_private_address_is_reached_only_if_it_is_listed_itself() {
        let hosts = list(&["hooks.example.org", "10.1.2.3"]);
        let reaches = |address: &str| hosts.reaches(address.parse().unwrap());
        assert_eq!(
            ["93.184.216.34", "10.1.2.3", "10.1.2.4", "127.0.0.1", "::1"].map(reaches),
            [true, true, false, false, false]
        );
        let only = HostList::only(&Uri::from_static("http://mlflow:5000")).unwrap();
        assert!(only.reaches("10.9.9.9".parse().unwrap()), "the operator has named it");
        assert_eq!(
            only.check(&Uri::from_static("http://mlflow:5001/")).unwrap_err().to_string(),
            "the host `mlflow` is not listed"
        );
    }

    #[test]
    fn what_is_no_host_is_refused_with_an_example() {
        for text in ["", "https://example.org", "a b", "user@host", "host:"] {
            assert!(text.parse::<AllowedHost>().is_err_and(|error| error.contains("hooks.example.org")), "{text}");
        }
    }
}
