//! Lines that said that a job is over, of which it is not known which: the request for it is not answered yet, or was before
//! the agent. Each is one job, counted without a name unless somebody claims it.

use crate::engine::job::Lasted;
use crate::event::Nanos;
use crate::job::{Job, Run};

/// Lines that are held at once.
const MAX_LINES: usize = 4096;

/// A line.
pub(super) struct Line {
    pub at: Nanos,
    pub lasted: Lasted,
    pub run: Run,
}

/// Lines that wait for a claim.
#[derive(Default)]
pub(super) struct Unnamed {
    lines: Vec<Line>,
    /// Lines that nobody claimed, and that no known job was given up for.
    spare: u64,
}

impl Unnamed {
    /// Holds a line. Returns the one that must go for it.
    pub fn hold(&mut self, line: Line) -> Option<Line> {
        let oldest = (self.lines.len() >= MAX_LINES).then(|| self.lines.remove(0));
        self.lines.push(line);
        oldest
    }

    /// The newest line that can be about this job.
    pub fn claim(&mut self, job: &Job) -> Option<Line> {
        let index = self.lines.iter().rposition(|line| job.fits(line.at, line.lasted))?;
        Some(self.lines.remove(index))
    }

    /// The lines up to this moment, which nobody claims any more.
    pub fn due(&mut self, until: Nanos) -> Vec<Line> {
        let due: Vec<Line> = self.lines.extract_if(.., |line| line.at <= until).collect();
        self.spare = self.spare.saturating_add(due.len() as u64);
        due
    }

    /// Whether a job that is given up was counted already, without its name.
    pub fn stands_for_one(&mut self) -> bool {
        let stands = self.spare > 0;
        self.spare = self.spare.saturating_sub(1);
        stands
    }

    /// What is known from here on does not concern earlier lines.
    pub fn forget(&mut self) {
        self.spare = 0;
    }
}
