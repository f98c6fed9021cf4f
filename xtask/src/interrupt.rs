//! Ctrl-C and SIGTERM as a question that a loop asks, so that guards are dropped and every child ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Where [`pause`] looks this often.
const POLL: Duration = Duration::from_millis(50);

extern "C" fn remember(_signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT and SIGTERM are remembered and no longer end this process.
pub fn watch() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler stores one atomic, which is allowed in a signal handler, and lives as long as the program.
        #[allow(unsafe_code, reason = "std has no signals")]
        let before = unsafe { libc::signal(signal, remember as *const () as libc::sighandler_t) };
        if before == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Whether the person has asked for the end.
pub fn asked() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Sleeps, but not through an interrupt.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while !asked() && Instant::now() < end {
        thread::sleep(POLL.min(end.saturating_duration_since(Instant::now())));
    }
}
