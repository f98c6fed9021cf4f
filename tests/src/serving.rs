//! A server that was started, until it serves.

use crate::process_group::ProcessGroup;
use crate::stopwatch::timed;
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Lines of the log that an error quotes.
const LOG_TAIL: usize = 30;

/// What is waited for, and how.
pub(crate) struct Wait<'a> {
    /// The server, as errors call it.
    pub name: &'a str,
    /// What it writes.
    pub log: &'a Path,
    /// How long it may take.
    pub patience: Duration,
    /// Between two looks.
    pub poll: Duration,
}

impl Wait<'_> {
    /// Returns when the server answers, or with the end of its log where it ended or took too long.
    pub fn until(&self, group: &mut ProcessGroup, answers: impl Fn() -> bool) -> Result<()> {
        timed(&format!("the start of {}", self.name), || self.look(group, answers))
    }

    fn look(&self, group: &mut ProcessGroup, answers: impl Fn() -> bool) -> Result<()> {
        let Wait { name, patience, poll, .. } = *self;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = group.try_wait()? {
                bail!("{name} ended with {status}:\n{}", self.last_words());
            }
            if answers() {
                return Ok(());
            }
            thread::sleep(poll);
        }
        bail!("{name} did not serve within {} s:\n{}", patience.as_secs(), self.last_words())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}
