//! A small OpenAI-compatible server with known answers: exact token counts, a fixed pace, vLLM's shape on the wire.
//!
//! Threads and blocking sockets, so that every byte leaves through libc's `recv` and `send`. It computes nothing: the
//! words mean nothing. Like vLLM it sends the head alone and then one event per write.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

mod answer;
mod http;

/// How the server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Port on loopback; 0 takes a free one.
    pub port: u16,
    /// Time from a request to its first token, and from token to token. `?token_ms=N` overrides it for one request.
    pub token_time: Duration,
    /// The model that it serves; any other is refused.
    pub model: String,
}

/// A running server, which ends when it is dropped. Answers under way are broken off at their next token.
#[derive(Debug)]
pub struct OpenAiServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What every connection sees.
#[derive(Debug)]
struct Shared {
    options: Options,
    requests: AtomicU64,
    stopped: AtomicBool,
}

impl Default for Options {
    fn default() -> Self {
        Options { port: 0, token_time: Duration::from_millis(10), model: "demo".into() }
    }
}

impl OpenAiServer {
    /// Listens on loopback and serves from threads of its own.
    pub fn start(options: Options) -> io::Result<OpenAiServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        let address = listener.local_addr()?;
        let shared = Shared { options, requests: AtomicU64::new(0), stopped: AtomicBool::new(false) };
        let shared = Arc::new(shared);
        let accepting = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &accepting));
        Ok(OpenAiServer { address, shared, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the process ends.
    pub fn join(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for OpenAiServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then sees the mark.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A number that no other request has.
    fn next(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // An error here is the client's going away, which is its right.
            let _ = converse(&stream, &shared);
        });
    }
}

/// Answers the requests of one connection, one after the other.
fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = http::Requests::new(stream);
    while let Some(request) = requests.next()? {
        answer::answer(stream, &request, shared)?;
        if request.last || shared.stopped() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
