//! What a node of Kubernetes answers: the kubelet's PodResources service, gRPC on a socket, and an API server over TLS that
//! believes one token.

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// What the API server is asked for, and in which form.
const QUESTION: &str = "/api/v1/pods?fieldSelector=spec.nodeName%3Dgpu-7&resourceVersion=0";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Both servers; they end when this is dropped.
pub struct Node {
    port: u16,
    _stop: oneshot::Sender<()>,
}

/// What they say.
pub struct Says {
    /// Namespace, pod, container, and a device of it.
    pub devices: &'static [[&'static str; 4]],
    /// The list of pods.
    pub pods: String,
    /// The token that may list pods. Others are of somebody who may not.
    pub token: &'static str,
}

type Answer = Result<Response<BoxBody<Bytes, Infallible>>, Infallible>;

impl Node {
    pub fn start(socket: &Path, says: Says) -> Node {
        let kubelet = UnixListener::bind(socket).expect("a socket can be made");
        let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = api.local_addr().expect("it is bound").port();
        kubelet.set_nonblocking(true).expect("a socket");
        api.set_nonblocking(true).expect("a socket");
        let (stop, stopped) = oneshot::channel::<()>();
        let says = Arc::new(says);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = serve_kubelet(kubelet, &says) => {}
                    () = serve_api(api, &says) => {}
                }
            });
        });
        Node { port, _stop: stop }
    }

    /// Of the API server.
    pub fn address(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// A certificate or key of the agent's tests.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src/https/testdata").join(name)
}

async fn serve_kubelet(listener: UnixListener, says: &Arc<Says>) {
    let listener = tokio::net::UnixListener::from_std(listener).expect("a socket");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let says = Arc::clone(says);
        tokio::spawn(async move {
            let service = service_fn(|request| devices(request, Arc::clone(&says)));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn devices(request: Request<Incoming>, says: Arc<Says>) -> Answer {
    assert_eq!(request.uri().path(), "/v1.PodResourcesLister/List");
    let pods: Vec<u8> = says.devices.iter().flat_map(|given| field(1, &pod(*given))).collect();
    let length = u32::try_from(pods.len()).expect("a short answer").to_be_bytes();
    let trailers = HeaderMap::from_iter([("grpc-status".parse().expect("a name"), HeaderValue::from_static("0"))]);
    let message = Full::new(Bytes::from([&[0][..], &length, &pods].concat()));
    let body = message.with_trailers(std::future::ready(Some(Ok(trailers)))).boxed();
    Ok(Response::builder().header("content-type", "application/grpc").body(body).expect("a response"))
}

/// `PodResources`: name, namespace, and a container of which processors are told, too.
fn pod([namespace, pod, container, device]: [&str; 4]) -> Vec<u8> {
    let devices = [field(1, b"nvidia.com/mig-1g.10gb"), field(2, device.as_bytes())].concat();
    let container = [field(1, container.as_bytes()), field(2, &devices), field(3, &[0, 1])].concat();
    [field(1, pod.as_bytes()), field(2, namespace.as_bytes()), field(3, &container)].concat()
}

/// A protobuf field that has a length.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 128).expect("a short field");
    [&[number << 3 | 2, length], value].concat()
}

async fn serve_api(listener: TcpListener, says: &Arc<Says>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    let tls = acceptor();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (says, tls) = (Arc::clone(says), tls.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| pods(request, Arc::clone(&says)));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn pods(request: Request<Incoming>, says: Arc<Says>) -> Answer {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (status, text) = match (header(AUTHORIZATION), request.uri().to_string().as_str(), header(ACCEPT)) {
        (token, ..) if token != format!("Bearer {}", says.token) => (403, "pods is forbidden"),
        (_, QUESTION, METADATA) => (200, says.pods.as_str()),
        _ => (404, "not what is asked for"),
    };
    let body = Full::new(Bytes::from(text.to_owned())).boxed();
    Ok(Response::builder().status(status).body(body).expect("a response"))
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let chain = CertificateDer::from_pem_file(certificate("collector.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(certificate("collector.key")).expect("its key");
    let config = builder.expect("TLS").with_no_client_auth().with_single_cert(vec![chain], key);
    TlsAcceptor::from(Arc::new(config.expect("the key is the certificate's")))
}
