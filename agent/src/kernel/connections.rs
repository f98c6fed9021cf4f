//! The kernel side's table of connections, as user space changes it: volumes, and connections older than the probes.

use super::pod::Plain;
use crate::core::Volume;
use crate::event::{ConnKey, Direction, Layer, Tgid};
use aya::maps::{HashMap, MapData};
use inferscope_ebpf::{
    ALWAYS, Conn, ConnId, FLAG_MIDWAY, VOLUME_FULL, VOLUME_MESSAGE, VOLUME_OFF, VOLUME_SIZE_ONLY, Volumes,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Table<T> = HashMap<MapData, Plain<ConnId>, Plain<T>>;

/// Shared by the attaching and the reading half.
#[derive(Clone)]
pub struct Connections(Arc<Mutex<Tables>>);

struct Tables {
    conns: Table<Conn>,
    volumes: Table<Volumes>,
}

/// BPF_NOEXIST: never replace what the kernel side has seen itself.
const NO_EXIST: u64 = 1;

impl Connections {
    pub(super) fn new(conns: Table<Conn>, volumes: Table<Volumes>) -> Connections {
        Connections(Arc::new(Mutex::new(Tables { conns, volumes })))
    }

    /// Makes the kernel side copy so much of a connection's calls. Without effect where the connection has ended.
    pub fn set_volume(&self, conn: &ConnKey, direction: Direction, volume: Volume) {
        let mut tables = self.lock();
        let key = Plain(ConnId { id: conn.id, tgid: conn.tgid.0, layer: layer(conn.layer) });
        let generation = conn.generation;
        if tables.conns.get(&key, 0).map_or(true, |Plain(entry)| entry.generation != generation) {
            return;
        }
        let everything = Volumes { while_received: ALWAYS, volume: [VOLUME_FULL; 2], generation, unused: 0 };
        let before = tables.volumes.get(&key, 0).map_or(everything, |Plain(volumes)| volumes);
        let (bytes, while_received) = match volume {
            Volume::Full => (VOLUME_FULL, ALWAYS),
            Volume::Head(bytes) => (bytes.min(VOLUME_MESSAGE), ALWAYS),
            Volume::SizeOnly => (VOLUME_SIZE_ONLY, ALWAYS),
            Volume::SizeOnlyWhile { received } => (VOLUME_SIZE_ONLY, received),
            Volume::Off => (VOLUME_OFF, ALWAYS),
        };
        // What was to hold until another place does not begin to hold again.
        let is_same = before.generation == generation && before.while_received == while_received;
        let mut volumes = if is_same { before } else { Volumes { while_received, ..everything } };
        let [read, write] = &mut volumes.volume;
        match direction {
            Direction::Read => *read = bytes,
            Direction::Write => *write = bytes,
        }
        let _ = tables.volumes.insert(key, Plain(volumes), 0);
    }

    /// Makes a descriptor known that was there before the probes were.
    pub fn add_midway(&self, tgid: Tgid, descriptor: u32, generation: u32) {
        let mut tables = self.lock();
        let key = ConnId { id: u64::from(descriptor), tgid: tgid.0, layer: layer(Layer::Socket) };
        let conn = Conn { position: [0; 2], generation, flags: u32::from(FLAG_MIDWAY) };
        let _ = tables.conns.insert(Plain(key), Plain(conn), NO_EXIST);
    }

    /// Forgets every connection of a process.
    pub fn forget(&self, tgid: Tgid) {
        let mut tables = self.lock();
        let gone: Vec<_> = tables.conns.keys().filter_map(Result::ok).filter(|key| key.0.tgid == tgid.0).collect();
        for key in gone {
            let _ = tables.conns.remove(&key);
            let _ = tables.volumes.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the kernel side numbers them.
fn layer(layer: Layer) -> u32 {
    match layer {
        Layer::Socket => 0,
        Layer::Tls => 1,
        Layer::Message => 2,
        Layer::Call => 3,
    }
}
