//! A client that does what the load client never does: stops reading, goes away, adds headers.

use crate::server::Server;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One connection.
pub struct Client {
    stream: TcpStream,
    model: String,
    wire: Vec<u8>,
}

impl Client {
    /// To this server.
    #[must_use]
    pub fn connect(server: &Server) -> Client {
        let stream = TcpStream::connect(server.address()).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a TCP socket");
        Client { stream, model: server.model().into(), wire: Vec::new() }
    }

    /// Asks for a streamed completion of so many tokens.
    pub fn ask(&mut self, tokens: u64) {
        self.ask_for("/v1/completions", "", "the quick brown fox jumps", tokens);
    }

    /// Asks with a target, header lines and a prompt of one's own.
    pub fn ask_for(&mut self, target: &str, headers: &str, prompt: &str, tokens: u64) {
        let body = json!({
            "model": self.model, "prompt": prompt, "max_tokens": tokens, "stream": true,
            "stream_options": {"include_usage": true}
        });
        let (body, length) = (body.to_string(), body.to_string().len());
        self.send(&format!("POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}"));
    }

    /// Sends this.
    pub fn send(&mut self, request: &str) {
        self.wire.clear();
        self.stream.write_all(request.as_bytes()).expect("the server reads");
    }

    /// Reads until so many content events have come.
    pub fn read_events(&mut self, count: usize) {
        while self.events() < count {
            self.read();
        }
    }

    /// Reads to the end of a stream and returns how many content events it had.
    pub fn read_stream(&mut self) -> usize {
        while !self.wire.ends_with(b"\r\n0\r\n\r\n") {
            self.read();
        }
        self.events()
    }

    /// Reads to the end of an answer with a length and returns it.
    pub fn read_whole(&mut self) -> String {
        loop {
            self.read();
            let text = String::from_utf8_lossy(&self.wire);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if length.is_some_and(|length: usize| body.len() >= length) {
                return text.into_owned();
            }
        }
    }

    /// What has come of the answer.
    #[must_use]
    pub fn answer(&self) -> String {
        String::from_utf8_lossy(&self.wire).into_owned()
    }

    /// The small servers put exactly one text into a content event, and none elsewhere.
    fn events(&self) -> usize {
        self.wire.windows(7).filter(|window| window == b"\"text\":").count()
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server closed before the end: {}", self.answer());
        self.wire.extend_from_slice(&buffer[..count]);
    }
}
