//! A kubelet or API server that does as it is told, in clear text or over TLS.

use crate::https::testdata;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{AUTHORIZATION, LOCATION};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// What to do with a call.
#[derive(Clone)]
pub enum Behaviour {
    Answer(&'static [u8]),
    Status(u16),
    /// To somewhere else.
    Redirect(String),
    Hang,
    /// A body that does not end.
    Endless,
    /// Nothing that looks like HTTP.
    Cut,
}

/// Clear text, or a certificate for `localhost` that `ca.pem` signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Plain,
    Tls,
}

/// A call that came: the path with its query, and these headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Came {
    pub path: String,
    pub accept: String,
    pub authorization: Option<String>,
}

/// A running server; gone when it is dropped.
pub struct Server {
    pub address: String,
    behaviour: Arc<Mutex<Behaviour>>,
    came: Arc<Mutex<Vec<Came>>>,
    _stop: oneshot::Sender<()>,
}

impl Server {
    pub fn start(security: Security, behaviour: Behaviour) -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (behaviour, came) = (Arc::new(Mutex::new(behaviour)), Arc::default());
        let (told, kept) = (Arc::clone(&behaviour), Arc::clone(&came));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = serve(&listener, security, &told, &kept) => {}
                }
            });
        });
        let scheme = if security == Security::Tls { "https" } else { "http" };
        Server { address: format!("{scheme}://localhost:{port}"), behaviour, came, _stop: stop }
    }

    pub fn now(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// What came since the last time.
    pub fn came(&self) -> Vec<Came> {
        std::mem::take(&mut *self.came.lock().unwrap())
    }
}

async fn serve(
    listener: &tokio::net::TcpListener,
    security: Security,
    told: &Arc<Mutex<Behaviour>>,
    kept: &Arc<Mutex<Vec<Came>>>,
) {
    let tls = acceptor();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (behaviour, kept, tls) = (told.lock().unwrap().clone(), Arc::clone(kept), tls.clone());
        tokio::spawn(async move {
            if security == Security::Plain {
                return converse(stream, behaviour, &kept).await;
            }
            // Who does not believe the certificate goes away.
            if let Ok(stream) = tls.accept(stream).await {
                converse(stream, behaviour, &kept).await;
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour, kept: &Mutex<Vec<Came>>) {
    if matches!(behaviour, Behaviour::Cut) {
        return;
    }
    let service = service_fn(|request: Request<Incoming>| {
        kept.lock().unwrap().push(Came::of(&request));
        answer(behaviour.clone())
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(behaviour: Behaviour) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let body = |text: &'static [u8]| Full::new(Bytes::from_static(text)).boxed();
    let response = Response::builder();
    Ok(match behaviour {
        Behaviour::Answer(list) => response.body(body(list)),
        Behaviour::Status(status) => response.status(status).body(body(b"{\"message\":\"canary\"}")),
        Behaviour::Redirect(to) => response.status(302).header(LOCATION, to).body(body(b"")),
        Behaviour::Endless => response.body(Blanks.boxed()),
        Behaviour::Hang | Behaviour::Cut => std::future::pending().await,
    }
    .unwrap())
}

/// Blanks, 1 MiB after the other.
struct Blanks;

impl Body for Blanks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(vec![b' '; 1 << 20].into()))))
    }
}

impl Came {
    fn of(request: &Request<Incoming>) -> Came {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        Came {
            path: request.uri().to_string(),
            accept: header(hyper::header::ACCEPT).unwrap_or_default(),
            authorization: header(AUTHORIZATION),
        }
    }
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_file(testdata("collector.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(testdata("collector.key")).unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}
