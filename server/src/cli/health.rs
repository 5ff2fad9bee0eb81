//! `graft health`.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use server::config::ListenArgs;

const TIMEOUT: Duration = Duration::from_secs(3);

/// One request by hand; a client library would be the largest part of a health check.
pub(super) fn run(args: &ListenArgs) -> Result<()> {
    let host = if args.host.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { args.host };
    let address = SocketAddr::new(host, args.port);
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("no server at {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /health/ready HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_whitespace().nth(1) {
        Some("200") => Ok(()),
        Some(status) => bail!("the server at {address} is not ready: it answers {status}"),
        None => bail!("what listens at {address} does not speak HTTP"),
    }
}
