//! The way to one collector: one attempt to send one request, within its time. Trying again is the sender's business.

pub mod answer;
mod grpc;
mod http;

use crate::config::{Destination, Protocol, Tls};
use crate::https::{Connector, Own, Scheme, TlsError, Trust, Version, connector, reason};
use answer::{Accepted, Refused};
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::Endpoint;

const USER_AGENT: &str = concat!("inferscope/", env!("CARGO_PKG_VERSION"));

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Metrics.
    Metrics(ExportMetricsServiceRequest),
    /// Spans.
    Spans(ExportTraceServiceRequest),
}

/// A collector.
pub struct Client {
    way: Way,
    limit: Duration,
    /// Host and port, for metrics and log lines.
    pub name: Arc<str>,
}

#[allow(clippy::large_enum_variant)] // one or two in a process
enum Way {
    Grpc(grpc::Client),
    Http(http::Client),
}

/// Why there is no way to a collector.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Its address.
    #[error("{0}: {1}")]
    Address(String, String),
    /// A header.
    #[error("the header {0} has a value that no header can have")]
    Header(String),
    /// TLS.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

impl Client {
    /// The way to `destination`. Connects when something is sent.
    ///
    /// # Errors
    /// Where the settings do not make sense here: a file is missing, a header impossible.
    pub fn new(destination: &Destination) -> Result<Client, ClientError> {
        let Destination { endpoint, protocol, timeout_seconds, compression, tls, .. } = destination;
        let wrong = |error: &(dyn Error + 'static)| ClientError::Address(endpoint.clone(), reason(error));
        let uri: Uri = endpoint.parse().map_err(|error: hyper::http::uri::InvalidUri| wrong(&error))?;
        let name = uri.authority().map_or(endpoint.as_str(), |authority| host(authority.as_str()));
        let headers = headers(destination)?;
        let way = match protocol {
            Protocol::Grpc => {
                let address = Endpoint::from(uri.clone()).user_agent(USER_AGENT).map_err(|error| wrong(&error))?;
                let connector = connected(&uri, Version::Http2, tls)?;
                Way::Grpc(grpc::Client::new(&address, connector, headers, *compression))
            }
            Protocol::Http => {
                let at = |path: &str| address(destination, path).parse::<Uri>().map_err(|error| wrong(&error));
                let connector = connected(&uri, Version::Http1, tls)?;
                Way::Http(http::Client::new(connector, at("/v1/metrics")?, at("/v1/traces")?, headers, *compression))
            }
        };
        Ok(Client { way, limit: Duration::from_secs(u64::from(*timeout_seconds)), name: name.into() })
    }

    /// One attempt.
    ///
    /// # Errors
    /// As the collector refuses, or where there is none in time.
    pub async fn send(&self, request: &Request) -> Result<Accepted, Refused> {
        let sent = async {
            match &self.way {
                Way::Grpc(client) => client.send(request).await,
                Way::Http(client) => client.send(request).await,
            }
        };
        timeout(self.limit, sent).await.unwrap_or_else(|_| Err(Refused::timeout(self.limit)))
    }
}

/// Host and port without credentials.
fn host(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

fn address(destination: &Destination, path: &str) -> String {
    let endpoint = &destination.endpoint;
    if destination.exact_path { endpoint.clone() } else { format!("{}{path}", endpoint.trim_end_matches('/')) }
}

fn headers(destination: &Destination) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &destination.headers.0 {
        let wrong = || ClientError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        // Debug output must not show it.
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

fn connected(uri: &Uri, version: Version, tls: &Tls) -> Result<Connector, TlsError> {
    let Tls { ca, certificate, key } = tls;
    let own = certificate.as_deref().zip(key.as_deref()).map(|(certificate, key)| Own { certificate, key });
    connector(Scheme::of(uri), version, ca.as_deref().map_or(Trust::Host, Trust::File), own)
}
