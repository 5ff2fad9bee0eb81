//! The host names that requests may use. A page of a stranger can give its own name the address of this machine ("DNS
//! rebinding"); its requests then carry that name.

use std::net::IpAddr;

/// Which `Host` a request may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPolicy {
    /// Any: a key says who is calling, and no browser sends it for a stranger.
    Any,
    /// These in lower case, and loopback.
    Listed(Vec<String>),
}

impl HostPolicy {
    /// These names besides loopback.
    #[must_use]
    pub fn listed(names: &[String]) -> Self {
        Self::Listed(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request may name this host, with or without a port.
    #[must_use]
    pub fn allows(&self, host: &str) -> bool {
        let Self::Listed(names) = self else { return true };
        let name = without_port(host).to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name == "localhost" || address.is_ok_and(|address| address.is_loopback()) || names.contains(&name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_listed_names_are_allowed_with_any_port() {
        let policy = HostPolicy::listed(&["Graft.example.org".to_owned()]);
        for host in ["localhost", "localhost:8080", "127.0.0.1:80", "127.3.2.1", "[::1]:8080", "GRAFT.example.org:443"]
        {
            assert!(policy.allows(host), "{host}");
        }
        for host in ["evil.org", "localhost.evil.org", "127.0.0.1.evil.org", "0.0.0.0:8080", "[::2]", ""] {
            assert!(!policy.allows(host), "{host}");
        }
        assert!(HostPolicy::Any.allows("evil.org"));
    }
}
