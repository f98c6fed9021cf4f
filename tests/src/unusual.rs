//! Requests that the load client does not make: broken ones, ones that go away, ones that read slowly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

/// Sends one request and reads the whole answer.
pub fn ask(server: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let mut stream = send(server, path, body, "Connection: close\r\n");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
    (code, answer)
}

/// Sends one request.
pub fn send(server: SocketAddr, path: &str, body: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a time limit");
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("the request is sent");
    stream
}

/// Reads some of an answer and goes away.
pub fn leave_early(server: SocketAddr, path: &str, body: &str) {
    let mut stream = send(server, path, body, "");
    let mut buffer = [0; 2000];
    let mut read = 0;
    while read < 2000 {
        read += stream.read(&mut buffer).expect("the answer's beginning");
    }
}

/// Keeps the kernel from letting send buffers grow to megabytes, until it is dropped: back-pressure then comes after some
/// hundred KiB instead of after a whole answer.
struct SmallSendBuffers(String);

const SEND_BUFFERS: &str = "/proc/sys/net/ipv4/tcp_wmem";

impl SmallSendBuffers {
    fn set() -> SmallSendBuffers {
        let before = std::fs::read_to_string(SEND_BUFFERS).expect(SEND_BUFFERS);
        std::fs::write(SEND_BUFFERS, "4096 16384 65536").expect("root may set it");
        SmallSendBuffers(before)
    }
}

impl Drop for SmallSendBuffers {
    fn drop(&mut self) {
        std::fs::write(SEND_BUFFERS, &self.0).expect("root may set it back");
    }
}

/// Makes the receive buffer small, so that the server meets back-pressure early; not smaller than a few of loopback's
/// 64 KiB segments, or the sender waits for a window that never opens.
fn shrink(stream: &TcpStream) {
    let bytes: libc::c_int = 256 * 1024;
    let size = libc::socklen_t::try_from(size_of_val(&bytes)).expect("an int is small");
    // SAFETY: the option's value is an int of that size, read during the call.
    #[allow(unsafe_code, reason = "std has no receive buffer option")]
    let result = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, (&raw const bytes).cast(), size)
    };
    assert_eq!(result, 0, "SO_RCVBUF");
}

/// Bytes that have arrived and were not read.
fn unread(stream: &TcpStream) -> libc::c_int {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes an int.
    #[allow(unsafe_code, reason = "std does not say what can be read")]
    let result = unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    assert_eq!(result, 0, "FIONREAD");
    bytes
}

/// With a small receive buffer reads nothing until nothing more has arrived for `silence`, which is when the server is held
/// up, however slow it is; then everything. Returns the events that carry a choice.
pub fn read_slowly(server: SocketAddr, path: &str, body: &str, silence: Duration) -> usize {
    let _small = SmallSendBuffers::set();
    let mut stream = send(server, path, body, "Connection: close\r\n");
    shrink(&stream);
    let mut before = 0;
    for _ in 0..60 {
        thread::sleep(silence);
        let now = unread(&stream);
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    // Time enough for more to queue up in it.
    thread::sleep(silence);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("data: [DONE]"), "the answer is cut off");
    text.lines().filter(|line| line.starts_with("data: {") && !line.contains("\"choices\":[]")).count()
}
