//! What the clients of a port speak.

/// What the clients of a port speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC, over HTTP/2.
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Protocol {
    /// Its name in the handshake of TLS.
    pub(super) fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http => b"http/1.1",
            #[cfg(feature = "grpc")]
            Self::Grpc => b"h2",
        }
    }
}
