//! A GET to a server on this machine. No TLS, no redirects, the whole answer in memory.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Patience with a local server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The body of a 200 answer to `GET path`.
pub fn get(server: SocketAddr, path: &str) -> Result<String> {
    let mut stream =
        TcpStream::connect_timeout(&server, TIMEOUT).with_context(|| format!("{server} does not answer"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer is not chunked and ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "http://{server}{path} answers {status}");
    Ok(body.to_owned())
}
