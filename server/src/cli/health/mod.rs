//! `graft health`.

mod trust;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use server::config::ListenArgs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConnection, Stream};

use trust::Trust;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    listen: ListenArgs,

    /// Asks by HTTPS, as --tls-cert and --tls-ca do too
    #[arg(long, env = "GRAFT_HTTPS")]
    https: bool,

    /// The server's own certificate (PEM), accepted whatever name it is for
    #[arg(long, env = "GRAFT_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Certificates of authorities (PEM); what one of them has signed for --tls-name is accepted
    #[arg(long, env = "GRAFT_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// The name that the server's certificate is for [default: its address]
    #[arg(long, env = "GRAFT_TLS_NAME", value_name = "NAME")]
    tls_name: Option<String>,

    /// Accepts any certificate
    #[arg(long, env = "GRAFT_INSECURE")]
    insecure: bool,
}

const TIMEOUT: Duration = Duration::from_secs(3);
/// The code of the answer to HTTP without TLS.
const HTTPS_REQUIRED: &str = "https_required";

/// One request by hand; a client library would be the largest part of a health check.
pub(super) fn run(args: &HealthArgs) -> Result<()> {
    let ListenArgs { host, port } = args.listen;
    let host = if host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { host };
    let address = SocketAddr::new(host, port);
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("no server at {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let answer = if args.https || args.tls_cert.is_some() || args.tls_ca.is_some() {
        let mut session = ClientConnection::new(args.trust()?.client()?, args.name(host)?)?;
        ask(&mut Stream::new(&mut session, &mut stream), address)
            .with_context(|| format!("what listens at {address} does not answer by HTTPS"))?
    } else {
        ask(&mut stream, address).with_context(|| format!("what listens at {address} does not answer"))?
    };
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(_) if answer.contains(HTTPS_REQUIRED) => {
            bail!("the server at {address} speaks HTTPS; add --tls-cert, --tls-ca, or --https --insecure")
        }
        Some(status) => bail!("the server at {address} is not ready: it answers {status}"),
        None => bail!("what listens at {address} does not speak HTTP"),
    }
}

impl HealthArgs {
    fn trust(&self) -> Result<Trust> {
        match (self.insecure, &self.tls_cert, &self.tls_ca) {
            (true, ..) => Ok(Trust::Anyone),
            (false, None, None) => {
                bail!("nothing says which certificate to accept; add --tls-cert, --tls-ca or --insecure")
            }
            (false, own, authorities) => Ok(Trust::read(own.as_deref(), authorities.as_deref())?),
        }
    }

    fn name(&self, host: IpAddr) -> Result<ServerName<'static>> {
        let Some(name) = &self.tls_name else { return Ok(ServerName::from(host)) };
        ServerName::try_from(name.clone()).with_context(|| format!("--tls-name: `{name}` is no host name"))
    }
}

fn ask(stream: &mut (impl Read + Write), address: SocketAddr) -> io::Result<String> {
    write!(stream, "GET /health/ready HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    stream.flush()?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that closes the connection without the end of TLS has answered all the same.
        Err(error) if answer.is_empty() || error.kind() != ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
