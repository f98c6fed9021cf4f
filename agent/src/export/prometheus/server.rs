//! The HTTP server: a few connections at a time, one request each, ten seconds in all.
//!
//! That is all that scrapers and people need, and it is why no client can hold the server: one that sends or reads
//! slowly is cut off, and while many do so the others wait their turn in the kernel's backlog.

use super::{Exposed, Format, Health, encode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// Connections served at a time.
const CONNECTIONS: usize = 32;
/// From accept to the last byte of the answer.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Given to answers under way when the agent ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause after a failed accept, so that a lack of descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a request's head; a scraper's has some hundred. 8 KiB is the least that hyper takes.
const HEAD_BYTES: usize = 8 * 1024;

const INDEX: &str = "\
Inferscope: latency of inference servers, seen from outside.

/metrics   for Prometheus: text format, or OpenMetrics where asked for
/healthz   \"ok\", or 503 and a sentence
/status    JSON: processes with evidence, hooks with placement and state, losses
";

/// Why the agent cannot listen, in words that tell what to do.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another socket has the address.
    #[error("{0} is in use; set `listen` in the configuration, or --listen, to another address")]
    InUse(SocketAddr),
    /// The address belongs to no interface of this host.
    #[error("{0} is not an address of this host; set `listen` to one that is, or to 0.0.0.0 for all")]
    NotHere(SocketAddr),
    /// The port needs a privilege.
    #[error("{0} needs the capability NET_BIND_SERVICE; set `listen` to a port above 1023")]
    Privileged(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, #[source] io::Error),
}

/// Listens on the address.
///
/// # Errors
/// With a sentence that tells what to do.
pub async fn bind(listen: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(listen).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(listen),
        io::ErrorKind::AddrNotAvailable => BindError::NotHere(listen),
        io::ErrorKind::PermissionDenied => BindError::Privileged(listen),
        _ => BindError::Other(listen, error),
    })
}

/// Serves until `shutdown` is ready, then finishes the answers under way.
pub async fn serve(listener: TcpListener, state: Arc<Exposed>, shutdown: impl Future<Output = ()>) {
    serve_within(CONNECTION_TIME, listener, state, shutdown).await;
}

/// As [`serve`], with another limit on the time of a connection.
pub(super) async fn serve_within(
    limit: Duration,
    listener: TcpListener,
    state: Arc<Exposed>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let room = connections.len() < CONNECTIONS;
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(timeout(limit, answer(stream, Arc::clone(&state))));
                }
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    // What is not done by then is aborted when the set is dropped.
    let _ = timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
}

async fn answer(stream: TcpStream, state: Arc<Exposed>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&request, &state);
        async { Ok::<_, Infallible>(response) }
    });
    // One request each: with the time limit on the whole connection this bounds slow readers as well as slow writers.
    let connection = http1::Builder::new()
        .keep_alive(false)
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!("a scrape ended early: {error}");
    }
}

/// The answer to a request. Pure but for what it reads from `state`.
fn respond<B>(request: &Request<B>, state: &Exposed) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics" | "/healthz" | "/status") {
        return text(StatusCode::NOT_FOUND, format!("There is nothing at {path}.\n\n{INDEX}"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => metrics(request, state),
        "/healthz" => match state.health() {
            Health::Working => text(StatusCode::OK, "ok\n".to_owned()),
            Health::Failing(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        "/status" => match serde_json::to_string_pretty(&state.status()) {
            Ok(json) => response(StatusCode::OK, "application/json", json),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::OK, INDEX.to_owned()),
    }
}

fn metrics<B>(request: &Request<B>, state: &Exposed) -> Response<Full<Bytes>> {
    let accept: Vec<_> = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::negotiate(&accept.join(","));
    match encode(&state.metrics, format) {
        Ok(body) => response(StatusCode::OK, format.content_type(), body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
