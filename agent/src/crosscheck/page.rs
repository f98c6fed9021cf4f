//! Reads a page of metrics over plain HTTP. Blocking; bounded in time and size.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server that is busy generating answers late.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any server's metrics.
const BYTES: u64 = 32 << 20;

/// The body of `path`.
///
/// # Errors
/// When nobody listens, the answer does not come in time, or it is not a page.
pub fn read(server: SocketAddr, path: &str) -> io::Result<String> {
    body(&answer(server, path)?).map(str::to_owned).map_err(io::Error::other)
}

/// What the server says of `path`, head and body, whatever its status.
///
/// # Errors
/// When nobody listens, or the answer does not come in time.
pub fn answer(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {server}\r\nAccept: text/plain\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}

/// The body of an answer, or its status line.
fn body(answer: &str) -> Result<&str, String> {
    let status = answer.lines().next().unwrap_or_default();
    let (_, body) = answer.split_once("\r\n\r\n").ok_or_else(|| "it does not speak HTTP".to_owned())?;
    if status.split(' ').nth(1) == Some("200") { Ok(body) } else { Err(format!("it answers {status:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_200_is_a_page() {
        for (answer, expected) in [
            ("HTTP/1.0 200 OK\r\nA: b\r\n\r\nup 1\n", Ok("up 1\n")),
            ("HTTP/1.1 200 OK\r\n\r\n", Ok("")),
            ("HTTP/1.1 404 Not Found\r\n\r\nx", Err("it answers \"HTTP/1.1 404 Not Found\"".to_owned())),
            ("SSH-2.0\r\n", Err("it does not speak HTTP".to_owned())),
            ("", Err("it does not speak HTTP".to_owned())),
        ] {
            assert_eq!(body(answer), expected, "{answer}");
        }
    }
}
