//! Connections to servers that speak HTTP, with TLS where their address says https. Collectors, the kubelet and the API server
//! are asked through it.
//!
//! Knows no protocol above and no configuration; holds no connection. Who trusts anybody says so ([`Trust::Anybody`]).

mod anybody;

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
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

/// Of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In clear text.
    Http,
    /// With TLS.
    Https,
}

/// Whose certificates are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust<'a> {
    /// Those whom the host trusts.
    Host,
    /// Those whom this file trusts, PEM.
    File(&'a str),
    /// Anybody's: what is said is encrypted, to whom is not known.
    Anybody,
}

/// The agent's own certificate and its key, files in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own<'a> {
    /// The certificate.
    pub certificate: &'a str,
    /// Its key.
    pub key: &'a str,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{0}: {1}")]
    File(String, String),
    /// No certificate to trust.
    #[error("this host has no certificates to trust; name some with `ca`")]
    NoRoots,
    /// Anything else.
    #[error("{0}")]
    Other(#[from] rustls::Error),
}

impl Scheme {
    /// Of an address.
    #[must_use]
    pub fn of(uri: &hyper::Uri) -> Scheme {
        if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http }
    }
}

/// A connector that believes whom `trust` says.
///
/// # Errors
/// Where a file cannot be read, or there is nobody to trust.
pub fn connector(
    scheme: Scheme,
    version: Version,
    trust: Trust<'_>,
    own: Option<Own<'_>>,
) -> Result<Connector, TlsError> {
    let config = match scheme {
        Scheme::Https => config(trust, own)?,
        // Nothing to trust is needed where nothing is encrypted.
        Scheme::Http => builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    Ok(match version {
        Version::Http1 => builder.enable_http1().build(),
        Version::Http2 => builder.enable_http2().build(),
    })
}

/// An error with its causes, which say what really happened.
#[must_use]
pub fn reason(error: &(dyn Error + 'static)) -> String {
    let (mut words, mut cause) = (Vec::new(), Some(error));
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.dedup();
    short(&words.join(": "))
}

/// The beginning of a message of a stranger, without control characters.
#[must_use]
pub fn short(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>;

fn builder() -> Result<Builder, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

fn config(trust: Trust<'_>, own: Option<Own<'_>>) -> Result<ClientConfig, TlsError> {
    let builder = builder()?;
    let builder = match trust {
        Trust::Host => builder.with_root_certificates(host()?),
        Trust::File(file) => builder.with_root_certificates(listed(file)?),
        Trust::Anybody => {
            let verifier = anybody::Anybody::new(builder.crypto_provider());
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let Some(Own { certificate, key }) = own else { return Ok(builder.with_no_client_auth()) };
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::File(key.to_owned(), error.to_string()))?;
    Ok(builder.with_client_auth_cert(certificates(certificate)?, secret)?)
}

fn host() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn listed(file: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |error: String| TlsError::File(file.to_owned(), error);
    let read = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let certificates: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() { Err(wrong("no certificate in it".to_owned())) } else { Ok(certificates) }
}

/// A file of the tests.
#[cfg(test)]
pub(crate) fn testdata(name: &str) -> String {
    format!("{}/src/https/testdata/{name}", env!("CARGO_MANIFEST_DIR"))
}
