//! Who may use the server, and how they reach it.

use std::path::PathBuf;

use clap::Args;

/// Keys, hosts, origins and certificates.
#[derive(Debug, Clone, Default, Args)]
pub struct AccessArgs {
    /// A file of API keys, a line each: NAME ROLES SHA256, as `graft key` prints it. SIGHUP reads it again
    #[arg(long, env = "GRAFT_KEYS_FILE", value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// An API key as NAME:ROLES:SHA256; several are separated by spaces. Added to those of --keys
    #[arg(long = "key", env = "GRAFT_KEYS", value_name = "KEY", value_delimiter = ' ', hide_env_values = true)]
    pub key: Vec<String>,

    /// Requests a second that each key may send, and as many at once [default: no limit]
    #[arg(long, env = "GRAFT_RATE_LIMIT", value_name = "N")]
    pub rate_limit: Option<std::num::NonZeroU32>,

    /// Listens on other addresses than loopback without keys: whoever reaches the port may do everything
    #[arg(long, env = "GRAFT_INSECURE")]
    pub insecure: bool,

    /// A host name that requests may name in `Host`, besides loopback [default: any if there are keys, else loopback]
    #[arg(long = "allowed-host", env = "GRAFT_ALLOWED_HOSTS", value_name = "HOST", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// An origin whose pages may call the server from a browser, such as `https://example.org`
    #[arg(long = "cors-origin", env = "GRAFT_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origins: Vec<String>,

    /// Serves HTTPS with this chain of certificates (PEM). SIGHUP reads it again
    #[arg(long, env = "GRAFT_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The private key of the first certificate (PEM)
    #[arg(long, env = "GRAFT_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}
