//! One sequence: what an engine's scheduler makes of a request. A request with several prompts or choices has several.
//!
//! Its times are the engine's own stamps; those that say `received` or `handed_over` are when the message was seen, and
//! say what lies between the engine and its front end.

use crate::engine::report::{Finish, Output};
use crate::event::Nanos;

/// A sequence under way or ended. Holds counts and times, no tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The engine's id of it.
    pub id: String,
    /// When the front end handed it to the engine: when that message was seen.
    pub handed_over: Option<Nanos>,
    /// When it entered the scheduler's queue.
    pub queued: Option<Nanos>,
    /// When it first got a place in a batch.
    pub scheduled: Option<Nanos>,
    /// When its first output was put together.
    pub first_output: Option<Nanos>,
    /// When the message with its first output was seen.
    pub first_received: Option<Nanos>,
    /// When its last output was put together.
    pub last_output: Option<Nanos>,
    /// Outputs: one for each iteration that brought something.
    pub outputs: u64,
    /// Generated tokens.
    pub tokens: u64,
    /// Of these, tokens that came after its client had left or it was no longer wanted.
    pub wasted: u64,
    /// Prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Of these, tokens that came from the prefix cache.
    pub cached_tokens: Option<u64>,
    /// How often it lost its place in the batch.
    pub preemptions: u64,
    /// Why it ended, as the engine said.
    pub finish: Option<Finish>,
    /// When its front end said that it is no longer wanted.
    pub aborted: Option<Nanos>,
    /// It was under way when the agent came, or messages were lost: counts may be too small, and it has no latency.
    pub partial: bool,
}

/// What an output added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Nanoseconds since the output before.
    pub gap: Option<u64>,
    /// Prompt tokens and, of these, cached ones: with the first output.
    pub prompt: Option<(u64, u64)>,
}

impl Sequence {
    /// A sequence that was handed over at `time`.
    #[must_use]
    pub fn new(id: &str, time: Nanos, prompt_tokens: Option<u64>) -> Sequence {
        Sequence { id: id.to_owned(), handed_over: Some(time), prompt_tokens, ..Sequence::default() }
    }

    /// A sequence whose beginning was not seen.
    #[must_use]
    pub fn midway(id: &str) -> Sequence {
        Sequence { id: id.to_owned(), partial: true, ..Sequence::default() }
    }

    /// An iteration brought `output`, put together `at`, in a message seen at `received`.
    pub fn output(&mut self, output: &Output<'_>, at: Nanos, received: Nanos) -> Added {
        let mut added = Added::default();
        if self.queued.is_none() {
            self.queued = output.queued;
        }
        // A preempted sequence is scheduled again: the first time counts.
        if self.scheduled.is_none() {
            self.scheduled = output.scheduled;
        }
        // Said with the first output only: nothing but the hand-over was missed.
        if self.outputs == 0 && output.queued.is_some() {
            self.partial = false;
        }
        match self.last_output {
            None if !self.partial => {
                self.first_output = Some(at);
                self.first_received = Some(received);
                self.prompt_tokens = output.prompt_tokens.or(self.prompt_tokens);
                self.cached_tokens = output.cached_tokens;
                added.prompt = self.prompt_tokens.map(|tokens| (tokens, self.cached_tokens.unwrap_or(0)));
            }
            None => {}
            Some(last) => added.gap = Some(at.since(last)),
        }
        self.last_output = Some(at);
        self.outputs = self.outputs.saturating_add(1);
        self.tokens = self.tokens.saturating_add(output.tokens);
        self.preemptions = self.preemptions.saturating_add(output.preemptions);
        self.finish = output.finish;
        added
    }

    /// Nanoseconds from the hand-over to the scheduler's queue: transport, and the wait for the iteration under way.
    #[must_use]
    pub fn dispatch(&self) -> Option<u64> {
        Some(self.whole(self.queued)?.since(self.handed_over?))
    }

    /// Nanoseconds in the scheduler's queue.
    #[must_use]
    pub fn queue(&self) -> Option<u64> {
        Some(self.whole(self.scheduled)?.since(self.queued?))
    }

    /// Nanoseconds from the first place in a batch to the first output.
    #[must_use]
    pub fn prefill(&self) -> Option<u64> {
        Some(self.whole(self.first_output)?.since(self.scheduled?))
    }

    /// Nanoseconds from the first output to the last.
    #[must_use]
    pub fn decode(&self) -> Option<u64> {
        Some(self.whole(self.last_output)?.since(self.first_output?))
    }

    /// Nanoseconds for each token after the first.
    #[must_use]
    pub fn per_token(&self) -> Option<u64> {
        self.decode()?.checked_div(self.tokens.checked_sub(1)?)
    }

    fn whole(&self, moment: Option<Nanos>) -> Option<Nanos> {
        moment.filter(|_| !self.partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(queued: Option<u64>, tokens: u64) -> Output<'static> {
        Output {
            id: "s",
            tokens,
            queued: queued.map(Nanos),
            scheduled: queued.map(|queued| Nanos(queued + 50)),
            prompt_tokens: queued.map(|_| 7),
            ..Output::default()
        }
    }

    #[test]
    fn the_stages_follow_each_other() {
        let mut sequence = Sequence::new("s", Nanos(100), Some(7));
        let first = sequence.output(&output(Some(130), 1), Nanos(300), Nanos(310));
        assert_eq!(first, Added { gap: None, prompt: Some((7, 0)) });
        let second = sequence.output(&output(None, 3), Nanos(450), Nanos(470));
        assert_eq!(second, Added { gap: Some(150), prompt: None });
        let stages = (sequence.dispatch(), sequence.queue(), sequence.prefill(), sequence.decode());
        assert_eq!(stages, (Some(30), Some(50), Some(120), Some(150)));
        assert_eq!((sequence.tokens, sequence.outputs, sequence.per_token()), (4, 2, Some(50)));
    }

    #[test]
    fn a_second_place_in_the_batch_does_not_count() {
        let mut sequence = Sequence::new("s", Nanos(100), None);
        sequence.output(&output(Some(130), 1), Nanos(300), Nanos(300));
        let again = Output { scheduled: Some(Nanos(900)), preemptions: 1, ..output(None, 1) };
        sequence.output(&again, Nanos(1000), Nanos(1000));
        assert_eq!((sequence.scheduled, sequence.preemptions), (Some(Nanos(180)), 1));
    }

    #[test]
    fn what_was_joined_midway_has_no_latency() {
        let mut sequence = Sequence::midway("s");
        assert_eq!(sequence.output(&output(None, 1), Nanos(300), Nanos(300)), Added::default());
        assert_eq!(sequence.output(&output(None, 1), Nanos(400), Nanos(400)).gap, Some(100));
        assert_eq!((sequence.queue(), sequence.decode(), sequence.per_token()), (None, None, None));
        assert_eq!((sequence.tokens, sequence.first_output), (2, None));
    }
}
