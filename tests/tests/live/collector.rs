//! An OTLP collector that knows only HTTP: it takes every POST and keeps what came, undecoded.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running collector; its thread ends with the test.
pub struct Collector {
    address: SocketAddr,
    posts: Arc<Mutex<Vec<Post>>>,
}

/// What came.
#[derive(Clone, Debug)]
pub struct Post {
    /// "/v1/traces"
    pub path: String,
    /// Protobuf, uncompressed.
    pub body: Vec<u8>,
}

impl Collector {
    pub fn start() -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let posts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                // An error is the agent's going away.
                thread::spawn(move || converse(stream, &kept));
            }
        });
        Collector { address, posts }
    }

    /// What a destination's `endpoint` says.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came to a path so far.
    pub fn posts(&self, path: &str) -> Vec<Post> {
        let posts = self.posts.lock().expect("no thread panics");
        posts.iter().filter(|post| post.path == path).cloned().collect()
    }
}

impl Post {
    /// Whether these bytes are somewhere in it. Texts and ids stand in protobuf as they are.
    pub fn has(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

fn converse(stream: TcpStream, posts: &Mutex<Vec<Post>>) -> io::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0, String::new());
        while stream.read_line(&mut line)? > 2 {
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                Some(_) => {}
                None => path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
            }
            line.clear();
        }
        if path.is_empty() {
            return Ok(());
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        posts.lock().expect("no thread panics").push(Post { path, body });
        answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")?;
    }
}
