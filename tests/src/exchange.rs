//! One HTTP/1.1 exchange whose answer says its length: for servers that keep a connection open whatever they are asked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: Triton loads a model before it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection for one exchange after the other.
#[derive(Debug)]
pub struct Exchanges(BufReader<TcpStream>);

impl Exchanges {
    /// Connects.
    pub fn with(server: SocketAddr) -> io::Result<Exchanges> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Exchanges(BufReader::new(stream)))
    }

    /// Posts JSON; gives the status and the body of the answer.
    pub fn post(&mut self, path: &str, body: &str) -> io::Result<(u16, String)> {
        let head = "Host: x\r\nContent-Type: application/json";
        let request = format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (None, 0);
        let mut line = String::new();
        while self.0.read_line(&mut line)? > 2 {
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap_or(0);
                }
                Some(_) => {}
                None => status = line.split(' ').nth(1).and_then(|status| status.parse().ok()),
            }
            line.clear();
        }
        let mut answer = String::new();
        self.0.by_ref().take(length).read_to_string(&mut answer)?;
        Ok((status.ok_or(io::ErrorKind::UnexpectedEof)?, answer))
    }
}

/// One exchange on a connection of its own.
pub fn post(server: SocketAddr, path: &str, body: &str) -> io::Result<(u16, String)> {
    Exchanges::with(server)?.post(path, body)
}
