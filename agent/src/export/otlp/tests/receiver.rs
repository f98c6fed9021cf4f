//! A collector that does as it is told: takes what comes, or refuses, hangs, lies and breaks off. gRPC and HTTP alike.

use crate::https::testdata;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tonic::metadata::BinaryMetadataValue;

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Accept,
    /// HTTP status, and a Retry-After.
    Status(u16, Option<&'static str>),
    /// gRPC status.
    Grpc(u32),
    /// gRPC's RESOURCE_EXHAUSTED, with a RetryInfo of so many seconds.
    Exhausted(u8),
    /// Accepts, but for so many.
    Partial(i64),
    /// Never answers.
    Hang,
    /// Closes the connection without a word, or over HTTP/2 the stream.
    Cut,
    /// 200 and nonsense.
    Garbage,
    /// 200 and an answer that is longer than any.
    Huge,
    /// 200 and an answer that never ends, byte for byte.
    Trickle,
}

/// Whether the receiver speaks TLS, and whom it lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    Plain,
    Tls,
    Mutual,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Came {
    pub at: Instant,
    pub path: String,
    pub headers: HeaderMap,
    pub metrics: Option<ExportMetricsServiceRequest>,
    pub spans: Option<ExportTraceServiceRequest>,
}

#[derive(Default)]
struct State {
    came: Vec<Came>,
    script: VecDeque<Behaviour>,
}

/// A running receiver; gone when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: watch::Sender<bool>,
}

impl Receiver {
    pub fn start(security: Security) -> Receiver {
        Receiver::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), security)
    }

    pub fn at(address: SocketAddr, security: Security) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = watch::channel(false);
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, security, serving, stopped));
        });
        Receiver { address, state, stop }
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// The next requests, in order; those behind them are accepted.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.lock().unwrap().script = behaviours.into_iter().collect();
    }

    pub fn came(&self) -> Vec<Came> {
        self.state.lock().unwrap().came.clone()
    }

    /// Waits until what came is as wanted; fails after a while.
    pub fn wait(&self, what: &str, wanted: impl Fn(&[Came]) -> bool) -> Vec<Came> {
        let begin = Instant::now();
        loop {
            let came = self.came();
            if wanted(&came) {
                return came;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{what}: {} requests came", came.len());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

async fn serve(listener: TcpListener, security: Security, state: Arc<Mutex<State>>, mut stop: watch::Receiver<bool>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let tls = acceptor(security);
    loop {
        let stream = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        let (state, tls) = (Arc::clone(&state), tls.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    connection(stream, state).await;
                }
                None => connection(stream, state).await,
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, state: Arc<Mutex<State>>) {
    let mut stream = tokio::io::BufReader::new(stream);
    // HTTP/2 says so in its first bytes.
    let Ok(first) = tokio::io::AsyncBufReadExt::fill_buf(&mut stream).await else { return };
    let is_http2 = first.starts_with(b"PRI");
    let service = service_fn(move |request| answer(request, Arc::clone(&state)));
    let stream = TokioIo::new(stream);
    if is_http2 {
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
    } else {
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, state: Arc<Mutex<State>>) -> io::Result<Answer> {
    let (head, body) = request.into_parts();
    let mut body = body.collect().await.unwrap().to_bytes();
    let is_grpc = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    let gzip = if is_grpc {
        let compressed = body[0] == 1;
        body = body.slice(5..);
        compressed
    } else {
        head.headers.get("content-encoding").is_some_and(|coding| coding == "gzip")
    };
    if gzip {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut plain).unwrap();
        body = plain.into();
    }
    let path = head.uri.path().to_owned();
    let is_metrics = path.contains("etrics");
    let came = Came {
        at: Instant::now(),
        path,
        headers: head.headers,
        metrics: is_metrics.then(|| ExportMetricsServiceRequest::decode(body.clone()).unwrap()),
        spans: (!is_metrics).then(|| ExportTraceServiceRequest::decode(body).unwrap()),
    };
    let behaviour = {
        let mut state = state.lock().unwrap();
        state.came.push(came);
        state.script.pop_front().unwrap_or(Behaviour::Accept)
    };
    let partial = match behaviour {
        Behaviour::Accept => None,
        Behaviour::Partial(rejected) => Some(rejected),
        Behaviour::Hang => return std::future::pending().await,
        Behaviour::Status(status, retry_after) => {
            let mut response = Response::new(Full::default().boxed());
            *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
            if let Some(after) = retry_after {
                response.headers_mut().insert("retry-after", HeaderValue::from_static(after));
            }
            return Ok(response);
        }
        Behaviour::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
        Behaviour::Grpc(status) => return Ok(grpc(None, trailers(status))),
        Behaviour::Exhausted(seconds) => {
            let mut trailers = trailers(8);
            trailers.insert("grpc-status-details-bin", retry_info(seconds));
            return Ok(grpc(None, trailers));
        }
        Behaviour::Garbage => {
            let nonsense = Bytes::from_static(b"<html>no such page</html>");
            return Ok(if is_grpc { Response::new(Full::new(nonsense).boxed()) } else { whole(nonsense) });
        }
        Behaviour::Huge => {
            let zeros = vec![0; 1 << 20];
            return Ok(if is_grpc { grpc(Some(zeros), trailers(0)) } else { whole(zeros.into()) });
        }
        Behaviour::Trickle => {
            let mut response = Response::new(Trickle(tokio::time::interval(Duration::from_millis(20))).boxed());
            let kind = if is_grpc { "application/grpc" } else { "application/x-protobuf" };
            response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
            return Ok(response);
        }
    };
    let message = "some are bad".to_owned();
    let response = if is_metrics {
        let partial_success = partial
            .map(|rejected_data_points| ExportMetricsPartialSuccess { rejected_data_points, error_message: message });
        ExportMetricsServiceResponse { partial_success }.encode_to_vec()
    } else {
        let partial_success =
            partial.map(|rejected_spans| ExportTracePartialSuccess { rejected_spans, error_message: message });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    };
    Ok(if is_grpc { grpc(Some(response), trailers(0)) } else { whole(response.into()) })
}

fn whole(body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body).boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/x-protobuf"));
    response
}

fn trailers(status: u32) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_str(&status.to_string()).unwrap());
    trailers
}

/// google.rpc.Status with a google.rpc.RetryInfo in it.
fn retry_info(seconds: u8) -> HeaderValue {
    let kind = b"type.googleapis.com/google.rpc.RetryInfo";
    let detail = [&[0x0a, 40][..], kind, &[0x12, 4, 0x0a, 2, 0x08, seconds]].concat();
    let status = [&[0x08, 8, 0x1a, 48][..], &detail].concat();
    HeaderValue::from_bytes(BinaryMetadataValue::from_bytes(&status).as_encoded_bytes()).unwrap()
}

fn grpc(message: Option<Vec<u8>>, trailers: HeaderMap) -> Answer {
    let mut framed = Vec::new();
    if let Some(message) = message {
        framed.push(0);
        framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend(message);
    }
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(body.boxed());
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

/// A zero now and then, for ever.
struct Trickle(tokio::time::Interval);

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_tick(context).map(|_| Some(Ok(Frame::data(Bytes::from_static(&[0])))))
    }
}

fn acceptor(security: Security) -> Option<TlsAcceptor> {
    if security == Security::Plain {
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match security {
        Security::Mutual => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(testdata("ca.pem")).unwrap()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        _ => builder.with_no_client_auth(),
    };
    let certificate = CertificateDer::from_pem_file(testdata("collector.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(testdata("collector.key")).unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}
