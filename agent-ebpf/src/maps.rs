//! Every map, and the two globals that the loader sets.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
};
use inferscope_ebpf::{Conn, ConnId, Counts, HOOK_SLOTS, Volumes};

/// BPF_F_NO_PREALLOC: an entry costs memory only while it lives.
const NO_PREALLOC: u32 = 1;

/// Records for user space. The loader sets its size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// Traced thread groups, with the source of their calls (`SOURCE_*`).
#[map]
pub static TRACED: HashMap<u32, u32> = HashMap::with_max_entries(4096, NO_PREALLOC);

/// Connections of traced processes: those accepted under our eyes and those that user space found at attach.
#[map]
pub static CONNS: HashMap<ConnId, Conn> = HashMap::with_max_entries(65_536, NO_PREALLOC);

/// How much of their calls is wanted, where it is not everything.
#[map]
pub static VOLUMES: HashMap<ConnId, Volumes> = HashMap::with_max_entries(65_536, NO_PREALLOC);

/// Calls between their entry and their exit.
#[map]
pub static CALLS: HashMap<CallKey, CallArguments> = HashMap::with_max_entries(16_384, NO_PREALLOC);

/// When each thread began the write that it is in, 0 where it is in none. An entry lives as long as its thread, so that a
/// write changes it in place and allocates nothing.
#[map]
pub static STARTED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(16_384, 0);

/// What each thread had made last ([`inferscope_ebpf::signature::Kind::Made`]). As in [`STARTED`].
#[map]
pub static MADE: LruHashMap<u64, Made> = LruHashMap::with_max_entries(16_384, 0);

/// Cookie of each syscall number, for the syscall tracepoints; 0 elsewhere. Numbers differ by architecture, so the
/// loader fills it.
#[map]
pub static SYSCALLS: Array<u64> = Array::with_max_entries(512, 0);

/// What each hook did and lost.
#[map]
pub static COUNTS: PerCpuArray<Counts> = PerCpuArray::with_max_entries(HOOK_SLOTS as u32, 0);

/// Empty for good: see [`crate::sys::own_stack`].
#[map]
pub static NOWHERE: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Where the object that a thread had made was stored, and its maker.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Made {
    pub stored_at: u64,
    pub maker: u64,
}

/// A thread may be in a TLS or message call and, inside it, in a socket call. Each function of a library's interface is a
/// layer of its own: they call back.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CallKey {
    pub thread: u64,
    pub layer: u64,
}

/// The arguments of a call, as they were at its entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CallArguments {
    pub cookie: u64,
    pub time: u64,
    pub arguments: [u64; 4],
}

/// Unread bytes in the ring buffer above which user space is woken at once instead of at its next turn.
#[unsafe(no_mangle)]
pub static WAKE_BYTES: u64 = 1 << 20;

/// `SYS_close` of this architecture, for the hook on libc's `syscall()`.
#[unsafe(no_mangle)]
pub static SYS_CLOSE: u64 = 3;

/// Whether [`NOWHERE`] is gone to: never.
#[unsafe(no_mangle)]
pub static GO_NOWHERE: u64 = 0;
