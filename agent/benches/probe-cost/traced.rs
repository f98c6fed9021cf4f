//! The process that is traced: makes calls on a socket pair when told to, and says how long they took.
//!
//! Calls come in batches, so that one call of the other side serves many and is not timed. A round's result is that of
//! its median batch: a batch in which the machine did something else does not count.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant};

/// What each call moves.
pub const BYTES: usize = 300;
/// Timed calls of a round.
pub const CALLS: u64 = 100_000;
const BATCH: u64 = 100;
/// The argument that makes this program the traced one.
pub const MODE: &str = "--traced";

/// The traced process, as its parent has it.
pub struct Traced {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<u64>,
    /// The descriptors on which the calls are made.
    pub descriptors: Vec<u32>,
}

impl Traced {
    /// Starts this program in its other mode.
    pub fn spawn() -> Result<Traced> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(MODE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().context("a piped stdin")?;
        let mut lines = BufReader::new(child.stdout.take().context("a piped stdout")?).lines();
        let first = lines.next().context("the traced process ended")??;
        let descriptors = first.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        let (tell, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let numbers = lines.map_while(|line| line.ok()?.parse().ok());
            numbers.take_while(|nanoseconds| tell.send(*nanoseconds).is_ok()).for_each(drop);
        });
        Ok(Traced { child, orders, answers, descriptors })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// One round of `call`; `meanwhile` runs over and over until it is done. Returns nanoseconds per call.
    pub fn round(&mut self, call: &str, mut meanwhile: impl FnMut()) -> Result<f64> {
        writeln!(self.orders, "{call}")?;
        loop {
            meanwhile();
            match self.answers.try_recv() {
                Ok(nanoseconds) => return Ok(nanoseconds as f64 / BATCH as f64),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => bail!("the traced process ended"),
            }
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The traced process's own life: a line in, a number out.
pub fn main() -> Result<()> {
    let (mut here, mut there) = UnixStream::pair()?;
    // A File calls read and write where a UnixStream calls recv and send.
    let mut file = File::from(OwnedFd::from(here.try_clone()?));
    println!("{} {}", here.as_raw_fd(), file.as_raw_fd());
    let (mut one, mut many) = ([7; BYTES], vec![7; BYTES * BATCH as usize]);
    for line in stdin().lines() {
        let mut took = Vec::new();
        let call = line?;
        for _ in 0..CALLS / BATCH {
            took.push(match call.as_str() {
                "recv" => {
                    there.write_all(&many)?;
                    batch(|| here.read_exact(&mut one))?
                }
                "write" => {
                    let took = batch(|| file.write_all(&one))?;
                    there.read_exact(&mut many)?;
                    took
                }
                other => bail!("what is {other}?"),
            });
        }
        took.sort_unstable();
        println!("{}", took.get(took.len() / 2).context("a round has batches")?.as_nanos());
    }
    Ok(())
}

fn batch(mut call: impl FnMut() -> std::io::Result<()>) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..BATCH {
        call()?;
    }
    Ok(start.elapsed())
}
