//! What this host offers the agent: its pid namespace, BTF, tracefs. What it may do there is [`super::privilege`]'s.

use super::privilege::{Capability, Held};
use std::fs;

/// Inode of the initial pid namespace (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const HOST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Where it may be mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];

/// One thing that the agent needs or likes, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, and if it is missing, what to do.
    pub detail: String,
}

/// How a look came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is there.
    Ok,
    /// It is missing; something works less well, or not at all, without it.
    Missing,
    /// It is missing and nothing works without it.
    Fatal,
}

impl Finding {
    /// A finding.
    #[must_use]
    pub fn new(what: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Finding {
        Finding { what: what.into(), verdict, detail: detail.into() }
    }
}

/// Whether process ids mean the same here as to the kernel and its drivers.
#[must_use]
pub fn in_host_pid_namespace() -> bool {
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    namespace.to_str() == Some(HOST_PID_NAMESPACE)
}

/// Namespace, BTF and tracefs.
#[must_use]
pub fn kernel() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let host = in_host_pid_namespace();
    let found = |there: bool, yes: &str, no: &str| {
        if there { (Verdict::Ok, yes.to_owned()) } else { (Verdict::Missing, no.to_owned()) }
    };
    let btf = fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false);
    let rows = [
        ("kernel", (Verdict::Ok, format!("{} on {}", release.trim(), std::env::consts::ARCH))),
        (
            "pid namespace",
            found(host, "the host's", "not the host's: other containers' processes are invisible; set hostPID"),
        ),
        (
            "BTF",
            found(
                btf,
                "/sys/kernel/btf/vmlinux (not needed, the programs read no kernel structures)",
                "absent (not needed)",
            ),
        ),
        ("tracefs", tracefs()),
    ];
    rows.into_iter().map(|(what, (verdict, detail))| Finding::new(what, verdict, detail)).collect()
}

/// Who may not search it is told no, whether it is mounted or not.
fn tracefs() -> (Verdict, String) {
    if let Some(path) = TRACEFS.into_iter().find(|path| fs::exists(path).unwrap_or(false)) {
        return (Verdict::Ok, path.to_owned());
    }
    let blame = Held::now().blame(&[Capability::DacReadSearch]);
    let remedy = if blame.is_empty() { "; `mount -t tracefs nodev /sys/kernel/tracing`" } else { &blame };
    (Verdict::Missing, format!("not to be seen: static binaries and musl cannot be traced{remedy}"))
}
