//! OTLP over HTTP: protobuf in the body, one POST for each request.

use super::Request;
use super::answer::{Accepted, Refused};
use crate::config::Compression;
use crate::https::{Connector, reason};
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::io::{self, Write};

/// Longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// A collector.
pub struct Client {
    inner: legacy::Client<Connector, Full<Bytes>>,
    metrics: Uri,
    spans: Uri,
    headers: HeaderMap,
    compression: Compression,
}

impl Client {
    /// At these addresses.
    pub fn new(connector: Connector, metrics: Uri, spans: Uri, headers: HeaderMap, compression: Compression) -> Client {
        let inner = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Client { inner, metrics, spans, headers, compression }
    }

    /// One attempt.
    pub async fn send(&self, request: &Request) -> Result<Accepted, Refused> {
        let (uri, body) = match request {
            Request::Metrics(request) => (&self.metrics, request.encode_to_vec()),
            Request::Spans(request) => (&self.spans, request.encode_to_vec()),
        };
        let body = self.compressed(body).map_err(|error| Refused::unavailable(error.to_string()))?;
        let mut post = hyper::Request::new(Full::new(Bytes::from(body)));
        *post.method_mut() = Method::POST;
        *post.uri_mut() = uri.clone();
        post.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        post.headers_mut().insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
        if self.compression == Compression::Gzip {
            post.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        post.headers_mut().extend(self.headers.clone());

        let response = self.inner.request(post).await.map_err(|error| Refused::unavailable(reason(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Err(Refused::http(status.as_u16(), retry_after));
        }
        let Ok(body) = Limited::new(response.into_body(), ANSWER_BYTES).collect().await else {
            return Err(Refused::unreadable());
        };
        let body = body.to_bytes();
        let accepted = match request {
            Request::Metrics(_) => ExportMetricsServiceResponse::decode(body).map(Accepted::from),
            Request::Spans(_) => ExportTraceServiceResponse::decode(body).map(Accepted::from),
        };
        accepted.map_err(|_| Refused::unreadable())
    }

    fn compressed(&self, body: Vec<u8>) -> io::Result<Vec<u8>> {
        if self.compression == Compression::None {
            return Ok(body);
        }
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&body)?;
        encoder.finish()
    }
}
