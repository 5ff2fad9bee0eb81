//! HTTPS.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::protocol::Protocol;
use super::socket::Socket;
use crate::config::AccessArgs;

/// The certificates in force.
pub(super) struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

/// The certificates cannot be used.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: pem::Error },
    #[error("there is no certificate in {}; it has to be PEM", .0.display())]
    NoCertificate(PathBuf),
    #[error("{} and {} do not belong together, or are of a kind that TLS does not know", chain.display(), key.display())]
    Unusable { chain: PathBuf, key: PathBuf, source: rustls::Error },
}

impl Certificates {
    /// `None` when the server is to speak HTTP.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(super) fn open(args: &AccessArgs) -> Result<Option<Self>, TlsError> {
        let (Some(chain), Some(key)) = (args.tls_cert.clone(), args.tls_key.clone()) else { return Ok(None) };
        let config = RwLock::new(read(&chain, &key)?);
        Ok(Some(Self { chain, key, config }))
    }

    /// Reads the files again, for connections from now on.
    ///
    /// # Errors
    /// [`TlsError`]; the old certificates stay in force then.
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let config = read(&self.chain, &self.key)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Shakes hands with a client, unless it does not want to.
    pub(super) async fn accept(&self, socket: Socket, protocol: Protocol) -> io::Result<Handshake> {
        // A method of HTTP begins with a letter, and no record of TLS does.
        if socket.first_byte().await?.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Ok(Handshake::PlainHttp);
        }
        let mut config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        if protocol != Protocol::Http {
            Arc::make_mut(&mut config).alpn_protocols = vec![protocol.alpn().to_vec()];
        }
        Ok(Handshake::Done(Box::new(TlsAcceptor::from(config).accept(socket).await?)))
    }
}

/// How a connection begins.
pub(super) enum Handshake {
    Done(Box<TlsStream<Socket>>),
    /// The client speaks HTTP without TLS.
    PlainHttp,
}

fn read(chain: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, TlsError> {
    let unreadable = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::Unreadable { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(chain).map_err(unreadable(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable(chain))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(chain.clone()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    let unusable = |source| TlsError::Unusable { chain: chain.clone(), key: key.clone(), source };
    let versions =
        ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions();
    let config = versions.map_err(unusable)?.with_no_client_auth().with_single_cert(certificates, private);
    let mut config = config.map_err(unusable)?;
    config.alpn_protocols = vec![Protocol::Http.alpn().to_vec()];
    Ok(Arc::new(config))
}
