//! The reading half: records out of the ring buffer, counters, volumes. Never blocks.

use super::connections::Connections;
use super::pod::Plain;
use crate::event::{Event, Nanos, Tgid};
use aya::maps::{MapData, PerCpuArray, RingBuf};
use inferscope_ebpf::{Action, Counts, Header, Hook, LOSS_SLOTS};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Captured {
    /// Something on a connection.
    Event(Event),
    /// A process changed: `hook` is exec, fork or exit.
    Process {
        /// When.
        time: Nanos,
        /// Which.
        tgid: Tgid,
        /// How.
        hook: Hook,
    },
    /// A record that this build cannot read.
    Unreadable,
}

/// Reads what the programs send.
pub struct Capture {
    ring: RingBuf<MapData>,
    counts: PerCpuArray<MapData, Plain<Counts>>,
    connections: Connections,
}

impl Capture {
    pub(super) fn new(
        ring: RingBuf<MapData>,
        counts: PerCpuArray<MapData, Plain<Counts>>,
        connections: Connections,
    ) -> Capture {
        Capture { ring, counts, connections }
    }

    /// The next record, or `None` when there is none now.
    #[allow(clippy::should_implement_trait)] // not an iterator: it ends and goes on
    pub fn next(&mut self) -> Option<Captured> {
        loop {
            let item = self.ring.next()?;
            if let Some(captured) = read(&item) {
                return Some(captured);
            }
        }
    }

    /// Readable when the kernel side asks to be read at once. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn wake_up(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let ring = self.ring.as_fd().try_clone_to_owned()?;
        // SAFETY: the AsyncFd owns the descriptor, so it stays open and the same for as long as it is registered.
        #[allow(unsafe_code)]
        unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }.map_err(|error| error.into_parts().1)
    }

    /// What each hook did and lost since the programs were loaded, summed over the CPUs.
    #[must_use]
    pub fn counts(&self) -> Vec<(Hook, Counts)> {
        let sum = |hook: Hook| {
            let values = self.counts.get(&u32::from(hook as u16), 0).ok()?;
            Some((hook, values.iter().fold(Counts::default(), |sum, value| add(sum, &value.0))))
        };
        Hook::ALL.into_iter().filter_map(sum).collect()
    }

    /// The connection table.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.connections
    }
}

/// `None` for a record that says nothing (a TLS call that only wanted more cipher text).
fn read(record: &[u8]) -> Option<Captured> {
    let Some((header, _)) = Header::parse(record) else { return Some(Captured::Unreadable) };
    let Some(hook) = Hook::from_id(header.hook) else { return Some(Captured::Unreadable) };
    if hook.action() == Action::Process {
        return Some(Captured::Process { time: Nanos(header.time_ns), tgid: Tgid(header.tgid), hook });
    }
    Event::parse(record).map(Captured::Event)
}

fn add(sum: Counts, one: &Counts) -> Counts {
    let mut lost = [0; LOSS_SLOTS];
    for (total, (a, b)) in lost.iter_mut().zip(sum.lost.iter().zip(one.lost)) {
        *total = a.saturating_add(b);
    }
    Counts {
        hits: sum.hits.saturating_add(one.hits),
        records: sum.records.saturating_add(one.records),
        bytes: sum.bytes.saturating_add(one.bytes),
        lost,
    }
}
