//! What the agent may do on this host: its capabilities, its pid namespace, and what the kernel offers.

use std::fs;

/// Capabilities that the agent uses, with their bit (linux/capability.h) and what for.
const USED: [(u32, &str, &str); 4] = [
    (39, "CAP_BPF", "load BPF programs"),
    (38, "CAP_PERFMON", "attach uprobes and tracepoints"),
    (19, "CAP_SYS_PTRACE", "look at other users' processes in /proc"),
    (2, "CAP_DAC_READ_SEARCH", "open their libraries"),
];
/// Stands for CAP_BPF and CAP_PERFMON, which it alone was before kernel 5.8.
const SYS_ADMIN: u32 = 21;
/// Inode of the initial pid namespace (PROC_PID_INIT_INO, include/linux/proc_ns.h).
const HOST_PID_NAMESPACE: &str = "pid:[4026531836]";

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

/// Capabilities in effect.
#[must_use]
pub fn capabilities() -> Vec<Finding> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    of_status(&status)
}

/// From the text of /proc/self/status.
fn of_status(status: &str) -> Vec<Finding> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    let effective = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
    let has = |bit: u32| effective >> bit & 1 == 1;
    let finding = |(bit, name, what): (u32, &str, &str)| {
        if has(bit) {
            return Finding::new(name, Verdict::Ok, what);
        }
        if has(SYS_ADMIN) && bit > SYS_ADMIN {
            return Finding::new(name, Verdict::Ok, format!("{what} (by CAP_SYS_ADMIN)"));
        }
        Finding::new(name, Verdict::Missing, format!("needed to {what}: run as root, or grant it"))
    };
    USED.into_iter().map(finding).collect()
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
    let tracefs = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
    let mounted = tracefs.iter().find(|path| fs::exists(path).unwrap_or(false));
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
        (
            "tracefs",
            found(
                mounted.is_some(),
                mounted.copied().unwrap_or_default(),
                "not mounted: static binaries and musl cannot be traced; `mount -t tracefs nodev /sys/kernel/tracing`",
            ),
        ),
    ];
    rows.into_iter().map(|(what, (verdict, detail))| Finding::new(what, verdict, detail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(status: &str) -> Vec<String> {
        of_status(status).into_iter().filter(|f| f.verdict != Verdict::Ok).map(|f| f.what).collect()
    }

    #[test]
    fn capabilities_are_read_by_their_bits() {
        assert_eq!(missing("CapEff:\t000001ffffffffff\n"), Vec::<String>::new());
        assert_eq!(missing("CapEff:\t0000000000000000\n").len(), 4);
        // CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and nothing else.
        assert_eq!(missing("CapEff:\t000000c000080004\n"), Vec::<String>::new());
        // CAP_SYS_ADMIN stands for the newer two, not for the others.
        assert_eq!(missing("CapEff:\t0000000000200000\n"), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
        assert_eq!(missing("").len(), 4);
    }
}
