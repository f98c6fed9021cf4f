//! OTLP over gRPC.

use super::Request;
use super::answer::{Accepted, Refused};
use crate::config::Compression;
use crate::https::{Connector, reason};
use hyper::header::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Longest answer that is read.
const ANSWER_BYTES: usize = 64 * 1024;
/// How tonic says that an answer is longer.
const TOO_LONG: &str = "Error, decoded message length too large";
/// How tonic and prost say that an answer of a collector that said yes is none of the protocol.
const NONSENSE: [&str; 4] = [
    "protocol error: received message with",
    "Missing response message",
    "Unexpected EOF decoding stream",
    "failed to decode Protobuf message",
];

/// A collector.
pub struct Client {
    channel: Channel,
    metadata: MetadataMap,
    compression: Compression,
}

impl Client {
    /// At this address; connects when something is sent.
    pub fn new(endpoint: &Endpoint, connector: Connector, headers: HeaderMap, compression: Compression) -> Client {
        let channel = endpoint.connect_with_connector_lazy(connector);
        Client { channel, metadata: MetadataMap::from_headers(headers), compression }
    }

    /// One attempt.
    pub async fn send(&self, request: &Request) -> Result<Accepted, Refused> {
        let gzip = self.compression == Compression::Gzip;
        let answer = match request {
            Request::Metrics(request) => {
                let mut client =
                    MetricsServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES);
                if gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let answer = client.export(self.with_metadata(request.clone())).await;
                answer.map(|response| Accepted::from(response.into_inner()))
            }
            Request::Spans(request) => {
                let mut client = TraceServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES);
                if gzip {
                    client = client.send_compressed(CompressionEncoding::Gzip);
                }
                let answer = client.export(self.with_metadata(request.clone())).await;
                answer.map(|response| Accepted::from(response.into_inner()))
            }
        };
        answer.map_err(|status| refused(&status))
    }

    fn with_metadata<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        *request.metadata_mut() = self.metadata.clone();
        request
    }
}

fn refused(status: &Status) -> Refused {
    use std::error::Error;
    match (status.source(), status.code()) {
        // What the collector did not say comes from below: no connection, a broken one, or something that is no gRPC.
        (Some(cause), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal) => {
            Refused::unavailable(reason(cause))
        }
        // tonic's own word of an answer beyond the limit; a collector that says this code is to be asked again.
        (None, Code::OutOfRange) if status.message().starts_with(TOO_LONG) => Refused::unreadable(),
        (None, Code::Internal) if NONSENSE.iter().any(|words| status.message().starts_with(words)) => {
            Refused::unreadable()
        }
        (_, code) => Refused::grpc(code, status.message(), status.details()),
    }
}
