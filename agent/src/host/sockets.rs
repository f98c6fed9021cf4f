//! Where a server listens, and the connections that it has open already when the agent comes: descriptors whose
//! connection is established and whose local port or path the same network namespace listens on.

use crate::event::Tgid;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

/// TCP states in /proc/PID/net/tcp (include/net/tcp_states.h).
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// Type and state of a connected stream socket in /proc/PID/net/unix, and its flag of one that listens (net/unix/af_unix.c).
const STREAM: &str = "0001";
const CONNECTED: &str = "03";
const ACCEPTS: &str = "00010000";

/// Descriptors of accepted, established connections of a process.
///
/// # Errors
/// When its descriptors cannot be listed: it is gone, or permission is missing.
pub fn served(tgid: Tgid) -> io::Result<Vec<u32>> {
    let net = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", tgid.0)).unwrap_or_default();
    let mut established = accepted(&[&net("tcp"), &net("tcp6")]);
    established.extend(accepted_unix(&net("unix")));
    let folder = format!("/proc/{}/fd", tgid.0);
    let descriptors = fs::read_dir(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot list {folder}: {error}")))?;
    let served = descriptors.filter_map(|entry| {
        let entry = entry.ok()?;
        let link = fs::read_link(entry.path()).ok()?;
        let inode: u64 = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()?;
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        established.contains(&inode).then_some(descriptor)
    });
    Ok(served.collect())
}

/// Where somebody in a process's network namespace listens on `port`, as this process can reach it: the loopback address
/// where all addresses are listened on. Absent where nobody does, or /proc cannot be read.
#[must_use]
pub fn listening(tgid: Tgid, port: u16) -> Option<SocketAddr> {
    let net = |name: &str| fs::read_to_string(format!("/proc/{}/net/{name}", tgid.0)).unwrap_or_default();
    let address = bound(&net("tcp"), port).or_else(|| bound(&net("tcp6"), port))?;
    let loopback = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    Some(SocketAddr::new(if address.is_unspecified() { loopback } else { address }, port))
}

/// Whether this process can connect to where `tgid` listens.
#[must_use]
pub fn shares_network(tgid: Tgid) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    let own = namespace("self");
    own.is_some() && own == namespace(&tgid.0.to_string())
}

/// The address that is listened on, from the text of /proc/net/tcp or tcp6.
fn bound(table: &str, port: u16) -> Option<IpAddr> {
    let port = format!("{port:04X}");
    let listens = |row: &Row<'_>| row.state == LISTEN && row.local_port == port;
    table.lines().skip(1).filter_map(row).find(listens).and_then(|row| address(row.local_address))
}

/// The kernel prints an address as 32-bit words, each in the host's byte order.
fn address(hexadecimal: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hexadecimal.get(at..at.checked_add(8)?)?, 16).ok().map(u32::to_ne_bytes);
    match hexadecimal.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
        }
        _ => None,
    }
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
    local_address: &'t str,
    local_port: &'t str,
    state: &'t str,
    inode: u64,
}

/// `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`
fn row(line: &str) -> Option<Row<'_>> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local_address, local_port) = fields.get(1)?.rsplit_once(':')?;
    Some(Row { local_address, local_port, state: fields.get(3)?, inode: fields.get(9)?.parse().ok()? })
}

/// Inodes of connected stream sockets whose path is listened on, from the text of /proc/net/unix: an accepted socket has
/// the path of the one that accepted it, the client's has none.
fn accepted_unix(table: &str) -> HashSet<u64> {
    let rows = || table.lines().skip(1).filter_map(unix_row).filter(|row| row.kind == STREAM);
    let listening: HashSet<&str> = rows().filter(|row| row.flags == ACCEPTS).map(|row| row.path).collect();
    rows().filter(|row| row.state == CONNECTED && listening.contains(row.path)).map(|row| row.inode).collect()
}

struct UnixRow<'t> {
    flags: &'t str,
    kind: &'t str,
    state: &'t str,
    inode: u64,
    path: &'t str,
}

/// `Num RefCount Protocol Flags Type St Inode Path`; rows without a path are left out.
fn unix_row(line: &str) -> Option<UnixRow<'_>> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (flags, kind, state) = (fields.next()?, fields.next()?, fields.next()?);
    Some(UnixRow { flags, kind, state, inode: fields.next()?.parse().ok()?, path: fields.next()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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

    #[test]
    fn of_unix_sockets_too() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000a6d04203: 00000002 00000000 00010000 0001 01   100 /tmp/a\n\
            00000000a6d04204: 00000003 00000000 00000000 0001 03   101 /tmp/a\n\
            00000000a6d04205: 00000003 00000000 00000000 0001 03   102\n\
            00000000a6d04206: 00000003 00000000 00000000 0001 03   103 /tmp/closed-since\n\
            00000000a6d04207: 00000002 00000000 00010000 0005 01   104 @packets\n\
            00000000a6d04208: 00000003 00000000 00000000 0005 03   105 @packets\n";
        assert_eq!(accepted_unix(table), HashSet::from([101]));
        assert!(accepted_unix("garbage\nmore garbage\n").is_empty());
    }

    #[test]
    fn what_is_listened_on_has_an_address() {
        let table =
            |address: &str, state: &str| format!("header\n 0: {address}:1F40 0:0000 {state} 0:0 0:0 0 0 0 100 1\n");
        let words = |bytes: [u8; 16]| {
            bytes
                .chunks(4)
                .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap())))
                .collect::<String>()
        };
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        for (address, state, expected) in [
            (loopback.as_str(), "0A", Some("127.0.0.1")),
            ("00000000", "0A", Some("0.0.0.0")),
            (&words(Ipv6Addr::LOCALHOST.octets()), "0A", Some("::1")),
            (&words(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets()), "0A", Some("2001:db8::7")),
            (&loopback, "01", None),
            ("0000", "0A", None),
            ("zzzzzzzz", "0A", None),
        ] {
            let found = bound(&table(address, state), 8000).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{address}");
        }
        assert_eq!(bound(&table("00000000", "0A"), 8001), None);
    }

    #[test]
    fn a_listener_of_our_own_is_found() {
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let own = Tgid(std::process::id());
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening(own, port), Some((Ipv4Addr::LOCALHOST, port).into()));
        assert!(shares_network(own));
        assert!(!shares_network(Tgid(u32::MAX)));
    }
}
