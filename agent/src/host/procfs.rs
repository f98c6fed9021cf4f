//! Reads processes out of /proc. A process that vanishes meanwhile is simply not there.

use super::maps::mapped_file;
use super::process::{Ancestor, Process};
use crate::event::Tgid;
use std::fs;

/// More ancestors than any process tree has; ends a loop in a /proc that changes while it is read.
const MAX_ANCESTORS: usize = 64;

/// Entries of a folder that are looked at.
const MAX_BESIDE: usize = 4096;

/// When a process started, in clock ticks since boot: together with its id it names one process for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StartTime(pub u64);

/// Every process id.
#[must_use]
pub fn all() -> Vec<Tgid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Tgid)).collect()
}

/// When a process started; `None` when there is none of that id.
#[must_use]
pub fn start_time(tgid: Tgid) -> Option<StartTime> {
    stat(tgid).map(|stat| stat.start)
}

/// Everything that engines judge a process by.
#[must_use]
pub fn process(tgid: Tgid) -> Option<Process> {
    let mut ancestors = Vec::new();
    let mut parent = stat(tgid)?.parent;
    while parent.0 > 1 && ancestors.len() < MAX_ANCESTORS {
        let Some(stat) = stat(parent) else { break };
        ancestors.push(Ancestor { tgid: parent, comm: comm(parent), argv: argv(parent) });
        parent = stat.parent;
    }
    let mut process = Process {
        tgid,
        comm: comm(tgid),
        argv: argv(tgid),
        exe: executable(tgid),
        libraries: Vec::new(),
        cwd: link(tgid, "cwd"),
        beside: Vec::new(),
        ancestors,
    };
    process.beside = process.script().map(|script| beside(tgid, script)).unwrap_or_default();
    Some(process)
}

/// Where a process's program lies, as it sees it; "" where nobody tells.
#[must_use]
pub fn executable(tgid: Tgid) -> String {
    link(tgid, "exe")
}

fn link(tgid: Tgid, name: &str) -> String {
    fs::read_link(format!("/proc/{}/{name}", tgid.0)).unwrap_or_default().to_string_lossy().into_owned()
}

/// What lies in the folder of a script, as the process sees it.
fn beside(tgid: Tgid, script: &str) -> Vec<String> {
    let folder = script.rsplit_once('/').map_or("", |(folder, _)| folder);
    let from = if script.starts_with('/') { "root" } else { "cwd" };
    let Ok(entries) = fs::read_dir(format!("/proc/{}/{from}/{folder}", tgid.0)) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).take(MAX_BESIDE).collect()
}

/// The file names of the libraries that a process maps. Dearer than everything else here together: the kernel writes a line
/// for each mapping.
#[must_use]
pub fn libraries(tgid: Tgid) -> Vec<String> {
    names(&fs::read_to_string(format!("/proc/{}/maps", tgid.0)).unwrap_or_default())
}

/// The shared libraries among the files that these lines map as code.
fn names(maps: &str) -> Vec<String> {
    let files = maps.lines().filter_map(mapped_file);
    files.map(|file| file.name().to_owned()).filter(|name| name.contains(".so")).collect()
}

/// Who a process is and whom it comes from; `None` when there is none of that id. Cheaper than [`process`].
#[must_use]
pub fn lineage(tgid: Tgid) -> Option<Lineage> {
    let Stat { mut parent, start } = stat(tgid)?;
    let mut ancestors = Vec::new();
    while parent.0 > 1 && ancestors.len() < MAX_ANCESTORS {
        ancestors.push(parent);
        let Some(above) = stat(parent) else { break };
        parent = above.parent;
    }
    Some(Lineage { start, comm: comm(tgid), ancestors })
}

/// What [`lineage`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// When it started.
    pub start: StartTime,
    /// Its /proc/PID/comm.
    pub comm: String,
    /// Its parent, grandparent, …: nearest first, without init.
    pub ancestors: Vec<Tgid>,
}

struct Stat {
    parent: Tgid,
    start: StartTime,
}

fn stat(tgid: Tgid) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{}/stat", tgid.0)).ok()?)
}

/// proc(5): `pid (comm) state ppid …`, start time is field 22. The comm may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, behind) = text.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace();
    let parent = Tgid(fields.nth(1)?.parse().ok()?);
    let start = StartTime(fields.nth(17)?.parse().ok()?);
    Some(Stat { parent, start })
}

/// The cgroups that a process is in, as proc(5) has them.
#[must_use]
pub fn cgroups(tgid: Tgid) -> String {
    fs::read_to_string(format!("/proc/{}/cgroup", tgid.0)).unwrap_or_default()
}

fn comm(tgid: Tgid) -> String {
    fs::read_to_string(format!("/proc/{}/comm", tgid.0)).unwrap_or_default().trim_end().to_owned()
}

fn argv(tgid: Tgid) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{}/cmdline", tgid.0)).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.trim_end_matches('\0').split('\0').filter(|arg| !arg.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_comm_may_hold_anything() {
        let stat = parse_stat("7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9").unwrap();
        assert_eq!((stat.parent, stat.start), (Tgid(3), StartTime(4242)));
        assert!(parse_stat("").is_none());
        assert!(parse_stat("7 (a").is_none());
    }

    #[test]
    fn libraries_are_mapped_as_code() {
        let maps = "7f0-7f1 r--p 00000000 fe:00 132                        /usr/lib/libc.so.6\n\
                    7f1-7f2 r-xp 00026000 fe:00 132                        /usr/lib/libc.so.6\n\
                    7f2-7f3 r-xp 00000000 fe:00 7                          /opt/my libs/libtritonserver-1.so (deleted)\n\
                    7f3-7f4 r-xp 00000000 fe:00 9                          /usr/bin/cat\n\
                    7f4-7f5 r-xp 00000000 00:00 0                          [vdso]\n";
        assert_eq!(names(maps), ["libc.so.6", "libtritonserver-1.so"]);
        assert!(libraries(Tgid(std::process::id())).iter().any(|name| name.starts_with("lib")));
    }

    #[test]
    fn this_process_is_found_with_its_parents() {
        let own = Tgid(std::process::id());
        let process = process(own).unwrap();
        assert!(all().contains(&own));
        assert!(!process.argv.is_empty());
        assert!(!process.exe.is_empty());
        let Lineage { start, ancestors, .. } = lineage(own).unwrap();
        assert_eq!(Some(start), start_time(own));
        assert_eq!(ancestors, process.ancestors.iter().map(|ancestor| ancestor.tgid).collect::<Vec<_>>());
    }
}
