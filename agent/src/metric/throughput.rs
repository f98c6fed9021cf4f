//! Tokens per second over the last ten seconds, from requests that have ended. Pure; time comes in with each call.
//!
//! A server states a request's tokens only at its end, and an event is not a token. So each request's tokens are spread
//! evenly over the time in which it generated them, and those of them that fall into the window count. A long answer is
//! therefore seen late, and only with what of it lies in the window: the number is a lower bound, never an exaggeration.

use crate::event::Nanos;
use std::collections::BTreeMap;

const SECOND: u64 = 1_000_000_000;
const WINDOW_SECONDS: u64 = 10;

/// Tokens by the second in which they were generated: at most the window, and what is newer.
#[derive(Debug, Default)]
pub struct Throughput {
    tokens: BTreeMap<u64, f64>,
}

impl Throughput {
    /// Adds a request's tokens, generated from `first` to `last`.
    pub fn add(&mut self, tokens: u64, first: Nanos, last: Nanos) {
        let length = last.since(first) as f64;
        let newest = last.0 / SECOND;
        let oldest = (first.0 / SECOND).max(newest.saturating_sub(WINDOW_SECONDS));
        for second in oldest..=newest {
            let begin = first.0.max(second.saturating_mul(SECOND));
            let end = last.0.min(second.saturating_add(1).saturating_mul(SECOND));
            let share = if length > 0.0 { end.saturating_sub(begin) as f64 / length } else { 1.0 };
            *self.tokens.entry(second).or_default() += tokens as f64 * share;
        }
        self.forget_before(newest.saturating_sub(WINDOW_SECONDS));
    }

    /// Tokens per second over the last whole seconds before `now`; `None` where no token is known of.
    pub fn rate(&mut self, now: Nanos) -> Option<f64> {
        let end = now.0 / SECOND;
        self.forget_before(end.saturating_sub(WINDOW_SECONDS));
        let known: f64 = self.tokens.range(..end).map(|(_, tokens)| tokens).sum();
        (known > 0.0).then_some(known / WINDOW_SECONDS as f64)
    }

    /// Whether nothing is known of any second that can still count.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn forget_before(&mut self, second: u64) {
        self.tokens = self.tokens.split_off(&second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Nanos {
        Nanos((seconds * SECOND as f64) as u64)
    }

    fn check(requests: &[(u64, f64, f64)], now: f64, expected: Option<f64>) {
        let mut throughput = Throughput::default();
        for (tokens, first, last) in requests {
            throughput.add(*tokens, seconds(*first), seconds(*last));
        }
        let rate = throughput.rate(seconds(now));
        let near = match (rate, expected) {
            (Some(rate), Some(expected)) => (rate - expected).abs() < 1e-6,
            (rate, expected) => rate == expected,
        };
        assert!(near, "{requests:?} at {now}: {rate:?}, expected {expected:?}");
        assert!(throughput.tokens.len() <= 12, "bounded");
    }

    #[test]
    fn tokens_count_where_they_were_generated() {
        check(&[], 20.0, None);
        check(&[(100, 12.0, 14.0)], 20.0, Some(10.0));
        // Eight concurrent streams add up.
        check(&[(100, 12.0, 14.0); 8], 20.0, Some(80.0));
        // Half of it lies before the window.
        check(&[(100, 9.0, 11.0)], 20.0, Some(5.0));
        // An hour of generation at one token per second.
        check(&[(3600, 400.0, 4000.0)], 4000.0, Some(1.0));
        // All in one moment.
        check(&[(7, 12.5, 12.5)], 20.0, Some(0.7));
    }

    #[test]
    fn the_window_ends() {
        check(&[(100, 12.0, 14.0)], 24.0, None);
        check(&[(100, 12.0, 14.0)], 23.0, Some(5.0));
    }

    #[test]
    fn the_second_under_way_does_not_count_yet() {
        check(&[(10, 20.2, 20.4)], 20.5, None);
        check(&[(10, 20.2, 20.4)], 21.0, Some(1.0));
    }
}
