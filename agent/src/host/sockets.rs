//! The connections that a server has open already when the agent comes: descriptors whose TCP connection is established
//! and whose local port the same network namespace listens on. Unix sockets are not looked up (docs/limits.md).

use crate::event::Tgid;
use std::collections::{HashMap, HashSet};
use std::fs;

/// TCP states in /proc/PID/net/tcp (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// Descriptors of accepted, established connections of a process. Empty where /proc cannot be read.
#[must_use]
pub fn served(tgid: Tgid) -> Vec<u32> {
    let net = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", tgid.0)).unwrap_or_default();
    let established = accepted(&[&net("tcp"), &net("tcp6")]);
    let Ok(descriptors) = fs::read_dir(format!("/proc/{}/fd", tgid.0)) else { return Vec::new() };
    let served = descriptors.filter_map(|entry| {
        let entry = entry.ok()?;
        let link = fs::read_link(entry.path()).ok()?;
        let inode: u64 = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        established.contains(&inode).then_some(descriptor)
    });
    served.collect()
}

/// Inodes of established connections whose local port is listened on, from the texts of /proc/net/tcp and tcp6.
fn accepted(tables: &[&str]) -> HashSet<u64> {
    let rows = || tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row);
    let listening: HashMap<&str, ()> =
        rows().filter(|row| row.state == LISTEN).map(|row| (row.local_port, ())).collect();
    rows()
        .filter(|row| row.state == ESTABLISHED && listening.contains_key(row.local_port))
        .map(|row| row.inode)
        .collect()
}

struct Row<'t> {
    local_port: &'t str,
    state: &'t str,
    inode: u64,
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`
fn row(line: &str) -> Option<Row<'_>> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let local_port = fields.get(1)?.rsplit(':').next()?;
    Some(Row { local_port, state: fields.get(3)?, inode: fields.get(9)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accepted_connections_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0\n\
            1: 0100007F:1F40 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0 20 4 30 10 -1\n\
            2: 0100007F:9C40 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1\n\
            3: 0100007F:1F40 0100007F:9C41 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n";
        assert_eq!(accepted(&[table]), HashSet::from([101]));
        assert!(accepted(&["", "garbage\nmore garbage\n"]).is_empty());
    }
}
