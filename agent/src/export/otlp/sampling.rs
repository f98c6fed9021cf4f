//! Which requests become spans. Pure, and the same for every agent that sees the trace: the ratio is one of trace ids.

use crate::config::Spans;
use crate::request::Decision;

/// Keeps or drops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Trace ids whose low 56 bits are below are kept.
    threshold: u64,
    keep_errors: bool,
    slow_nanos: Option<u64>,
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its trace.
    pub trace: [u8; 16],
    /// What the caller decided; [`Decision::Open`] where there is none.
    pub decision: Decision,
    /// How it ended.
    pub result: Result<(), ()>,
    /// How long it took, in nanoseconds.
    pub duration: u64,
}

/// 2^56: as many as there are values of a trace id's random part (W3C trace context, level 2).
const ALL: f64 = 72_057_594_037_927_936.0;

impl Sampling {
    /// As configured.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of 2^56, a few seconds
    pub fn new(settings: &Spans) -> Sampling {
        let share = settings.ratio.unwrap_or(1.0).clamp(0.0, 1.0);
        Sampling {
            threshold: (share * ALL) as u64,
            keep_errors: settings.keep_errors,
            slow_nanos: settings.keep_slower_than_seconds.map(|seconds| (seconds * 1e9) as u64),
        }
    }

    /// Whether it becomes a span.
    pub fn keeps(&self, case: &Case) -> bool {
        match case.decision {
            Decision::Recorded => true,
            // A part of a trace that nobody else keeps explains nothing.
            Decision::NotRecorded => false,
            Decision::Open => {
                let failed = self.keep_errors && case.result.is_err();
                let slow = self.slow_nanos.is_some_and(|limit| case.duration >= limit);
                failed || slow || random_part(case.trace) < self.threshold
            }
        }
    }
}

fn random_part(trace: [u8; 16]) -> u64 {
    trace.iter().skip(9).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(decision: Decision) -> Case {
        Case { trace: [0xff; 16], decision, result: Ok(()), duration: 1_000_000_000 }
    }

    #[test]
    fn the_callers_word_goes_before_ours() {
        let none = Sampling::new(&Spans { ratio: Some(0.0), ..Spans::default() });
        assert!(none.keeps(&case(Decision::Recorded)));
        assert!(!none.keeps(&case(Decision::Open)));
        let all = Sampling::new(&Spans::default());
        assert!(all.keeps(&case(Decision::Open)));
        assert!(!all.keeps(&Case { result: Err(()), ..case(Decision::NotRecorded) }));
    }

    #[test]
    fn errors_and_slow_ones_are_kept_whatever_the_ratio() {
        let settings = Spans { ratio: Some(0.0), keep_slower_than_seconds: Some(1.5), ..Spans::default() };
        let sampling = Sampling::new(&settings);
        assert!(sampling.keeps(&Case { result: Err(()), ..case(Decision::Open) }));
        assert!(sampling.keeps(&Case { duration: 1_500_000_000, ..case(Decision::Open) }));
        assert!(!sampling.keeps(&case(Decision::Open)));
        let only_slow = Sampling::new(&Spans { keep_errors: false, ..settings });
        assert!(!only_slow.keeps(&Case { result: Err(()), ..case(Decision::Open) }));
    }

    #[test]
    fn the_ratio_is_one_of_trace_ids() {
        let quarter = Sampling::new(&Spans { ratio: Some(0.25), ..Spans::default() });
        let kept = (0..=255).filter(|byte| {
            let mut trace = [1; 16];
            trace[9] = *byte;
            quarter.keeps(&Case { trace, ..case(Decision::Open) })
        });
        assert_eq!(kept.count(), 64);
    }
}
