//! Connections to collectors, with TLS where the endpoint says https. gRPC and HTTP share it.

use crate::config::Tls;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Opens connections.
pub type Connector = HttpsConnector<HttpConnector>;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1
    Http1,
    /// HTTP/2, for gRPC.
    Http2,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{0}: {1}")]
    File(String, String),
    /// No certificate to trust.
    #[error("this host has no certificates to trust; name some with tls.ca")]
    NoRoots,
    /// Anything else.
    #[error("{0}")]
    Other(#[from] rustls::Error),
}

/// A connector for `settings`.
pub fn connector(settings: &Tls, version: Version, scheme: Scheme) -> Result<Connector, TlsError> {
    let config = match scheme {
        Scheme::Https => config(settings)?,
        // Nothing to trust is needed where nothing is encrypted.
        Scheme::Http => builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(match version {
        Version::Http1 => builder.enable_http1().build(),
        Version::Http2 => builder.enable_http2().build(),
    })
}

/// Of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// With TLS.
    Https,
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn config(settings: &Tls) -> Result<ClientConfig, TlsError> {
    let Tls { ca, certificate, key } = settings;
    let builder = builder()?.with_root_certificates(roots(ca.as_deref())?);
    let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(builder.with_no_client_auth()) };
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File(key.clone(), error.to_string()))?;
    Ok(builder.with_client_auth_cert(certificates(certificate)?, secret)?)
}

fn roots(file: Option<&str>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate)?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |error: String| TlsError::File(file.to_owned(), error);
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() { Err(wrong("no certificate in it".to_owned())) } else { Ok(certificates) }
}
