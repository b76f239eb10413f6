//! The certificate of the one that listens.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::{Certificate, ServeError};

/// Loads certificate and key; TLS 1.2 and 1.3, with ring.
pub(crate) fn acceptor(tls: &Certificate) -> Result<TlsAcceptor, ServeError> {
    let unusable = |setting: &'static str, path: &Path, words: String| ServeError::Unusable {
        setting,
        path: path.to_owned(),
        words,
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| unusable("tls.cert", &tls.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable("tls.cert", &tls.cert, "there is no PEM certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|error| unusable("tls.key", &tls.key, error.to_string()))?;
    let refuse = |error: rustls::Error| unusable("tls.cert", &tls.cert, error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refuse)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refuse)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
