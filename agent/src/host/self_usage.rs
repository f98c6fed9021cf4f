//! What the agent itself uses, from /proc/self.

use crate::metric::SelfUsage;
use std::time::Duration;
use std::{fs, io};

/// The kernel reports processor time to user space in hundredths of a second, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);

/// Reads it.
///
/// # Errors
/// When /proc is not mounted or says something unknown.
pub fn read() -> io::Result<SelfUsage> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let status = fs::read_to_string("/proc/self/status")?;
    parse(&stat, &status).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self has an unknown format"))
}

fn parse(stat: &str, status: &str) -> Option<SelfUsage> {
    // The second field is the command in parentheses, which may hold blanks and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u32 = times.next()?.parse().ok()?;
    let system: u32 = times.next()?.parse().ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    let cpu = TICK.checked_mul(user.checked_add(system)?)?;
    Some(SelfUsage { cpu, resident_bytes: kibibytes.checked_mul(1024)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_command_may_hold_parentheses() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 3 0 9 0 0";
        let usage = parse(stat, "Name:\ta\nVmRSS:\t    2048 kB\n").unwrap();
        assert_eq!(usage, SelfUsage { cpu: Duration::from_millis(1750), resident_bytes: 2 << 20 });
        assert_eq!(parse("7", ""), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(read().unwrap().resident_bytes > 1 << 20);
    }
}
