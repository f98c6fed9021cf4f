//! As much of HTTP/1.1 as the server needs: requests with a Content-Length, on a connection that stays.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Bodies above this are refused.
const MAX_BODY: usize = 1 << 20;

/// One request.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: HashMap<String, String>,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    /// The client wants no other answer on this connection.
    pub last: bool,
}

/// The requests of a connection.
pub struct Requests<'a> {
    reader: BufReader<&'a TcpStream>,
}

impl<'a> Requests<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        // Larger than any request of the tests, so that one arrives in one recv, as it does at vLLM.
        Requests { reader: BufReader::with_capacity(64 * 1024, stream) }
    }

    /// The next request, or `None` at the end of the connection.
    pub fn next(&mut self) -> io::Result<Option<Request>> {
        let start = self.line()?;
        let mut words = start.split(' ');
        let (Some(method), Some(target)) = (words.next().filter(|word| !word.is_empty()), words.next()) else {
            return Ok(None);
        };
        let mut headers = HashMap::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if length > MAX_BODY {
            return Err(io::Error::other("the body is too large"));
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        let last = match headers.get("connection") {
            Some(said) => said.eq_ignore_ascii_case("close"),
            None => words.next() == Some("HTTP/1.0"),
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Some(Request { method: method.to_owned(), path: path.to_owned(), query, headers, body, last }))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

/// Writes a whole JSON answer.
pub fn write_json(mut stream: &TcpStream, status: u16, body: &serde_json::Value) -> io::Result<()> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        reason(status),
        body.len()
    );
    // Head and body apart, as vLLM's front end does it.
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}

/// Writes the head of an event stream, alone.
pub fn write_stream_head(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
    )
}

/// Writes one event as one chunk in one write.
pub fn write_event(mut stream: &TcpStream, event: &str) -> io::Result<()> {
    let payload = format!("data: {event}\n\n");
    stream.write_all(format!("{:x}\r\n{payload}\r\n", payload.len()).as_bytes())
}

/// Writes the end of an event stream.
pub fn write_stream_end(mut stream: &TcpStream) -> io::Result<()> {
    stream.write_all(b"0\r\n\r\n")
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        _ => "Internal Server Error",
    }
}
