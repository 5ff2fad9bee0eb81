//! Whether the client of a request is still there.
//!
//! A client may close its sending side as soon as its request is sent and still wait for the answer (`shutdown(2)`, or
//! `nc` at the end of its input). From here it looks like a client that has gone. So the end of the stream ends no request
//! (hyper's `half_close`). If the answer is not there a moment later, an interim answer is sent (`100 Continue`, which
//! RFC 9110, 15.2 lets a server send at any time): the system of a client that has gone refuses it, and the request is
//! given up then.

use std::time::Duration;

use axum::http::Version;
use tokio::time::sleep;

use super::socket::{PeerState, Socket};
use crate::http::connection::{ConnectionState, Phase};

/// How often a client is looked at while it waits for its answer. Most answers come sooner.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Looks at a connection's client while its requests are being answered.
#[derive(Debug, Clone)]
pub(super) struct ClientWatch {
    pub(super) socket: Socket,
    pub(super) state: ConnectionState,
    pub(super) encryption: Encryption,
}

/// Whether a connection's bytes are those of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// HTTP without TLS.
    None,
    /// They are TLS's. Nobody closes one half of its connection, and no byte can be put between its own.
    Tls,
}

impl ClientWatch {
    /// Returns when the client of this request has gone. A client of HTTP/1.0 knows no interim answers (RFC 9110, 15.2), so
    /// when it closes its sending side it is taken to wait.
    pub(super) async fn lost(&self, version: Version) {
        let mut interim = (version >= Version::HTTP_11).then_some(INTERIM);
        loop {
            sleep(LOOK_EVERY).await;
            // Until the body has arrived, HTTP itself reads to the end of the stream.
            if self.state.phase() != Phase::Answer {
                continue;
            }
            match (self.socket.peer(), self.encryption) {
                (PeerState::Open, _) => {}
                (PeerState::Gone, _) | (PeerState::HalfClosed, Encryption::Tls) => return,
                (PeerState::HalfClosed, Encryption::None) => {
                    if interim.take().is_some_and(|interim| self.socket.interject(interim).is_err()) {
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::http::connection::ConnectionClass;

    /// Longer than it takes to find out that a client has gone.
    const LONG: Duration = Duration::from_secs(30);
    /// Several looks.
    const SOME_LOOKS: Duration = Duration::from_millis(700);

    /// A client, and the watch over it while it waits for an answer.
    async fn waiting(encryption: Encryption) -> (TcpStream, ClientWatch) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let state = ConnectionState::new(peer.ip(), ConnectionClass::Ordinary);
        state.enter(Phase::Answer);
        (client, ClientWatch { socket: Socket::new(stream), state, encryption })
    }

    #[tokio::test]
    async fn a_client_that_has_closed_its_sending_half_is_there() {
        let (mut client, watch) = waiting(Encryption::None).await;
        client.shutdown().await.unwrap();
        assert!(timeout(SOME_LOOKS, watch.lost(Version::HTTP_11)).await.is_err());
        let mut socket = watch.socket.clone();
        socket.write_all(b"answer").await.unwrap();
        drop((socket, watch));
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), "HTTP/1.1 100 Continue\r\n\r\nanswer");
    }

    #[tokio::test]
    async fn a_client_of_http_1_0_gets_no_interim_answer() {
        let (mut client, watch) = waiting(Encryption::None).await;
        client.shutdown().await.unwrap();
        assert!(timeout(SOME_LOOKS, watch.lost(Version::HTTP_10)).await.is_err());
        drop(watch);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"");
    }

    #[tokio::test]
    async fn a_client_that_has_closed_its_connection_is_lost() {
        for encryption in [Encryption::None, Encryption::Tls] {
            let (client, watch) = waiting(encryption).await;
            drop(client);
            assert!(timeout(LONG, watch.lost(Version::HTTP_11)).await.is_ok(), "{encryption:?}");
        }
    }

    #[tokio::test]
    async fn a_client_that_resets_its_connection_is_lost_whatever_its_version() {
        let (client, watch) = waiting(Encryption::None).await;
        client.set_zero_linger().unwrap();
        drop(client);
        assert!(timeout(LONG, watch.lost(Version::HTTP_10)).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_still_sends_its_body_is_not_looked_at() {
        let (client, watch) = waiting(Encryption::Tls).await;
        watch.state.enter(Phase::Body);
        drop(client);
        assert!(timeout(SOME_LOOKS, watch.lost(Version::HTTP_11)).await.is_err());
    }
}
