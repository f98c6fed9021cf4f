//! A load client that times itself with the kernel's clock: what the agent's numbers are judged against.
//!
//! One thread and one keep-alive connection for each stream, blocking reads, and the clock is read right behind each
//! `read`. Nothing is parsed before the answer is complete, so that parsing delays no reading. No TLS:
//! tests/engines/tls_load.py writes the same records.

use crate::clock::monotonic_ns;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

mod answer;

use answer::Answer;

/// How long a client waits for the next byte.
const TIMEOUT: Duration = Duration::from_secs(120);

/// What is asked, how often and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server.
    pub server: SocketAddr,
    /// Its model.
    pub model: String,
    /// Concurrent clients.
    pub streams: u32,
    /// When a client stops asking.
    pub limit: Limit,
    /// Tokens of each answer.
    pub max_tokens: u64,
    /// Which endpoint.
    pub endpoint: Endpoint,
    /// How answers come.
    pub delivery: Delivery,
    /// The prompt.
    pub prompt: String,
    /// More fields of the request's body.
    pub more: Map<String, Value>,
}

/// When a client stops asking. A request under way is always finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// After so many requests of each client.
    Requests(u64),
    /// After so long.
    Time(Duration),
}

/// Which endpoint is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// /v1/completions
    Completions,
    /// /v1/chat/completions
    Chat,
}

/// How answers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// As an event stream.
    Streamed,
    /// In one piece.
    Whole,
}

/// One request, as its client saw it. Times are CLOCK_MONOTONIC in nanoseconds; what was not seen is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Which client.
    pub stream: u32,
    /// Right before the request was written.
    pub sent_ns: u64,
    /// Receipt of each content event: of the read that completed it.
    pub content_ns: Vec<u64>,
    /// Receipt of the end, or when the failure was seen.
    pub end_ns: u64,
    /// HTTP status.
    pub status: Option<u16>,
    /// Tokens of the prompt, as the server states them.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer, as the server states them.
    pub completion_tokens: Option<u64>,
    /// Id of the response.
    pub id: Option<String>,
    /// Why the answer is not complete.
    pub error: Option<String>,
}

impl Seen {
    /// Receipt of the first content event.
    #[must_use]
    pub fn first_content_ns(&self) -> Option<u64> {
        self.content_ns.first().copied()
    }

    /// A record of another client that writes the same JSON; `None` where it is none.
    #[must_use]
    pub fn from_json(json: &Value) -> Option<Seen> {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        Some(Seen {
            stream: json["stream"].as_u64()?.try_into().ok()?,
            sent_ns: json["sent_ns"].as_u64()?,
            content_ns: json["content_ns"].as_array()?.iter().filter_map(Value::as_u64).collect(),
            end_ns: json["end_ns"].as_u64()?,
            status: json["status"].as_u64().and_then(|status| status.try_into().ok()),
            prompt_tokens: json["prompt_tokens"].as_u64(),
            completion_tokens: json["completion_tokens"].as_u64(),
            id: text("id"),
            error: text("error"),
        })
    }

    /// The record as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Seen { stream, sent_ns, content_ns, end_ns, status, prompt_tokens, completion_tokens, id, error } = self;
        json!({
            "stream": stream, "sent_ns": sent_ns, "first_content_ns": self.first_content_ns(), "content_ns": content_ns,
            "end_ns": end_ns, "status": status, "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens, "id": id, "error": error
        })
    }
}

impl Options {
    /// One client, one streamed completion of 16 tokens.
    #[must_use]
    pub fn new(server: SocketAddr, model: impl Into<String>) -> Options {
        Options {
            server,
            model: model.into(),
            streams: 1,
            limit: Limit::Requests(1),
            max_tokens: 16,
            endpoint: Endpoint::Completions,
            delivery: Delivery::Streamed,
            prompt: "the quick brown fox jumps".into(),
            more: Map::new(),
        }
    }

    /// The request's bytes. `ignore_eos` makes vLLM's token counts exact.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut body = json!({"model": self.model, "max_tokens": self.max_tokens, "ignore_eos": true});
        let path = match self.endpoint {
            Endpoint::Completions => {
                body["prompt"] = json!(self.prompt);
                "/v1/completions"
            }
            Endpoint::Chat => {
                body["messages"] = json!([{"role": "user", "content": self.prompt}]);
                "/v1/chat/completions"
            }
        };
        if self.delivery == Delivery::Streamed {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        for (name, value) in &self.more {
            body[name] = value.clone();
        }
        let (server, body) = (self.server, body.to_string());
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n");
        format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    }
}

/// Runs the load to its end. `each` is called in the clients' threads, after a request and before the next.
pub fn run(options: &Options, each: &(dyn Fn(Seen) + Sync)) {
    let start = Instant::now();
    thread::scope(|scope| {
        for stream in 0..options.streams {
            scope.spawn(move || client(options, stream, start, each));
        }
    });
}

/// Runs the load and keeps every record, in the order in which the requests ended.
#[must_use]
pub fn collect(options: &Options) -> Vec<Seen> {
    let seen = std::sync::Mutex::new(Vec::new());
    run(options, &|record| seen.lock().expect("no client panics while it records").push(record));
    seen.into_inner().expect("no client panics while it records")
}

fn client(options: &Options, stream: u32, start: Instant, each: &(dyn Fn(Seen) + Sync)) {
    hurry();
    let request = options.request();
    let mut connection = None;
    for number in 0_u64.. {
        let over = match options.limit {
            Limit::Requests(requests) => number >= requests,
            Limit::Time(time) => start.elapsed() >= time,
        };
        if over {
            return;
        }
        each(once(&mut connection, options.server, stream, &request));
    }
}

/// Lets this thread run as soon as bytes are there (SCHED_FIFO), where the caller may: the client is the measuring
/// instrument, and on a machine that the server fills, its own wake-up would be the largest error.
pub(crate) fn hurry() {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: reads one struct during the call.
    #[allow(unsafe_code, reason = "std has no scheduling classes")]
    unsafe {
        libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters);
    }
}

/// One request and what came of it; the connection is kept where it can be.
pub(crate) fn once(kept: &mut Option<TcpStream>, server: SocketAddr, stream: u32, request: &[u8]) -> Seen {
    let mut seen = Seen { stream, sent_ns: monotonic_ns(), ..Seen::default() };
    match ask(kept, server, request, &mut seen) {
        Ok(answer) => answer.describe(&mut seen),
        Err(error) => {
            (seen.end_ns, seen.error) = (monotonic_ns(), Some(error.to_string()));
            *kept = None;
            // A server that refuses must not be asked in a tight loop.
            thread::sleep(Duration::from_millis(50));
        }
    }
    seen
}

/// One request on the kept connection, or on a new one where there is none.
fn ask(kept: &mut Option<TcpStream>, server: SocketAddr, request: &[u8], seen: &mut Seen) -> io::Result<Answer> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => connect(server)?,
    };
    seen.sent_ns = monotonic_ns();
    stream.write_all(request)?;
    let answer = Answer::read(&mut stream)?;
    *kept = Some(stream);
    Ok(answer)
}

pub(crate) fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
