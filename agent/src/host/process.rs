//! A process as engines judge it. Pure: [`super::discover`] fills it from /proc, tests write it by hand.

use crate::event::Tgid;

/// What is known of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id in the host's pid namespace.
    pub tgid: Tgid,
    /// /proc/PID/comm: at most 15 bytes.
    pub comm: String,
    /// /proc/PID/cmdline, split at NUL. A program that renames itself (setproctitle) has one blank-padded entry.
    pub argv: Vec<String>,
    /// Where /proc/PID/exe points.
    pub exe: String,
    /// Parent, grandparent, …: nearest first, up to init.
    pub ancestors: Vec<Ancestor>,
}

/// A process above another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    /// Its id.
    pub tgid: Tgid,
    /// Its /proc/PID/comm.
    pub comm: String,
    /// Its /proc/PID/cmdline.
    pub argv: Vec<String>,
}

impl Process {
    /// The last path component of `argv[n]`, or "" where there is none.
    #[must_use]
    pub fn argv_base(&self, n: usize) -> &str {
        self.argv.get(n).map_or("", |arg| arg.rsplit('/').next().unwrap_or(arg))
    }
}
