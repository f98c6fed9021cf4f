//! The clock that the kernel side stamps with, and how far it is from the wall clock.

use crate::event::Nanos;
use std::time::{SystemTime, UNIX_EPOCH};

/// CLOCK_MONOTONIC now: the same clock as `bpf_ktime_get_ns`.
#[must_use]
pub fn now() -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    #[allow(unsafe_code)]
    unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time);
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Nanoseconds from this clock to the wall clock, now: the wall clock may be set.
#[must_use]
pub fn offset() -> i128 {
    let monotonic = now();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(wall.as_nanos()).unwrap_or(i128::MAX).saturating_sub(i128::from(monotonic.0))
}
