//! The kernel side's table of connections, as user space changes it: volumes, and connections older than the probes.

use super::pod::Plain;
use crate::core::Volume;
use crate::event::{ConnKey, Direction, Layer, Tgid};
use aya::maps::{HashMap, MapData};
use inferscope_ebpf::{Conn, ConnId, FLAG_MIDWAY, VOLUME_FULL, VOLUME_OFF, VOLUME_SIZE_ONLY};
use std::sync::{Arc, Mutex, PoisonError};

type Table = HashMap<MapData, Plain<ConnId>, Plain<Conn>>;

/// Shared by the attaching and the reading half.
#[derive(Clone)]
pub struct Connections(Arc<Mutex<Table>>);

/// BPF_NOEXIST: never replace what the kernel side has seen itself.
const NO_EXIST: u64 = 1;

impl Connections {
    pub(super) fn new(table: Arc<Mutex<Table>>) -> Connections {
        Connections(table)
    }

    /// Makes the kernel side copy so much of a connection's calls. Without effect where the connection has ended.
    ///
    /// The kernel side moves the positions of the same entry meanwhile: a call between the read and the write here
    /// would be forgotten, and show as an overlap. Volumes change once or twice in a connection's life.
    pub fn set_volume(&self, conn: &ConnKey, direction: Direction, volume: Volume) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Plain(ConnId { id: conn.id, tgid: conn.tgid.0, layer: layer(conn.layer) });
        let Ok(Plain(mut entry)) = table.get(&key, 0) else { return };
        if entry.generation != conn.generation {
            return;
        }
        let volume = match volume {
            Volume::Full => VOLUME_FULL,
            Volume::Head(bytes) => bytes.min(VOLUME_FULL),
            Volume::SizeOnly => VOLUME_SIZE_ONLY,
            Volume::Off => VOLUME_OFF,
        };
        let [read, write] = &mut entry.volume;
        match direction {
            Direction::Read => *read = volume,
            Direction::Write => *write = volume,
        }
        let _ = table.insert(key, Plain(entry), 0);
    }

    /// Makes a socket known that was accepted before the probes were there.
    pub fn add_midway(&self, tgid: Tgid, descriptor: u32, generation: u32) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = ConnId { id: u64::from(descriptor), tgid: tgid.0, layer: layer(Layer::Socket) };
        let conn = Conn { position: [0; 2], volume: [VOLUME_FULL; 2], generation, flags: u32::from(FLAG_MIDWAY) };
        let _ = table.insert(Plain(key), Plain(conn), NO_EXIST);
    }

    /// Forgets every connection of a process.
    pub fn forget(&self, tgid: Tgid) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = table.keys().filter_map(Result::ok).filter(|key| key.0.tgid == tgid.0).collect();
        for key in gone {
            let _ = table.remove(&key);
        }
    }
}

/// As the kernel side numbers them.
fn layer(layer: Layer) -> u32 {
    match layer {
        Layer::Socket => 0,
        Layer::Tls => 1,
        Layer::Message => 2,
    }
}
