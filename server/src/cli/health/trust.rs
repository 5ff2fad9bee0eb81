//! Which certificates of a server are accepted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Whom the client talks to.
pub(super) enum Trust {
    Anyone,
    /// A server with one of these certificates, or with one that an authority has signed.
    Known {
        certificates: Vec<CertificateDer<'static>>,
        authorities: Option<Arc<WebPkiServerVerifier>>,
    },
}

/// Certificates to trust cannot be used.
#[derive(Debug, Error)]
pub(super) enum TrustError {
    #[error("cannot read {}; it has to be PEM", path.display())]
    Unreadable { path: PathBuf, source: pem::Error },
    #[error("there is no certificate in {}; it has to be PEM", .0.display())]
    Empty(PathBuf),
    #[error("{} has a certificate that TLS cannot use: {source}", path.display())]
    Unusable { path: PathBuf, source: Error },
    #[error("{} has no certificate of an authority: {source}", path.display())]
    NoAuthority { path: PathBuf, source: VerifierBuilderError },
}

impl Trust {
    /// Trusts the certificates in the first file themselves, and those in the second as authorities.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(super) fn read(own: Option<&Path>, authorities: Option<&Path>) -> Result<Self, TrustError> {
        let certificates = own.map(read).transpose()?.unwrap_or_default();
        Ok(Self::Known { certificates, authorities: authorities.map(verifier).transpose()? })
    }

    /// A client that talks to nobody else.
    ///
    /// # Errors
    /// rustls's, when it cannot be set up.
    pub(super) fn client(self) -> Result<Arc<ClientConfig>, Error> {
        let provider = Arc::new(default_provider());
        let verifier = Verifier { trust: self, algorithms: provider.signature_verification_algorithms };
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = versions.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Arc::new(config.with_no_client_auth()))
    }
}

fn verifier(path: &Path) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in read(path)? {
        roots.add(certificate).map_err(|source| TrustError::Unusable { path: path.to_owned(), source })?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build();
    verifier.map_err(|source| TrustError::NoAuthority { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if certificates.is_empty() { Err(TrustError::Empty(path.to_owned())) } else { Ok(certificates) }
}

/// Asks [`Trust`] about the certificate, and checks in any case that the server has its key.
struct Verifier {
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        revocation: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust {
            Trust::Anyone => Ok(ServerCertVerified::assertion()),
            Trust::Known { certificates, .. } if certificates.contains(certificate) => {
                Ok(ServerCertVerified::assertion())
            }
            Trust::Known { authorities: Some(authorities), .. } => {
                authorities.verify_server_cert(certificate, chain, name, revocation, now)
            }
            Trust::Known { authorities: None, .. } => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
