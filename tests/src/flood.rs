//! One and the same HTTP request over and over, as fast as the server answers or at a rate: for counts under load. It looks
//! at nothing of an answer but its status.

use crate::exchange::Exchanges;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is asked, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Flood {
    /// The server.
    pub server: SocketAddr,
    /// Path of the POST.
    pub path: String,
    /// Its body, in JSON.
    pub body: String,
    /// Clients, each with a connection of its own and one request at a time.
    pub clients: u64,
    /// Requests a second of all together; as many as are answered where absent.
    pub rate: Option<f64>,
    /// For so long.
    pub time: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// Answers of status 200.
    pub ok: u64,
    /// All others.
    pub refused: u64,
}

impl Flood {
    /// Asks until the time is over. Every request that was begun is finished.
    pub fn run(&self) -> io::Result<Answered> {
        let turn = AtomicU64::new(0);
        let began = Instant::now();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(|| self.client(began, &turn))).collect();
            let joined = clients.into_iter().map(|client| client.join().expect("a client does not panic"));
            joined.sum::<io::Result<Answered>>()
        })
    }

    fn client(&self, began: Instant, turn: &AtomicU64) -> io::Result<Answered> {
        let mut exchanges = Exchanges::with(self.server)?;
        let mut answered = Answered::default();
        loop {
            let mine = turn.fetch_add(1, Ordering::Relaxed);
            let due = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(mine as f64 / rate));
            thread::sleep(due.saturating_sub(began.elapsed()));
            if began.elapsed() >= self.time {
                return Ok(answered);
            }
            match exchanges.post(&self.path, &self.body)?.0 {
                200 => answered.ok += 1,
                _ => answered.refused += 1,
            }
        }
    }
}

impl std::iter::Sum for Answered {
    fn sum<I: Iterator<Item = Answered>>(all: I) -> Answered {
        all.fold(Answered::default(), |sum, one| Answered { ok: sum.ok + one.ok, refused: sum.refused + one.refused })
    }
}
