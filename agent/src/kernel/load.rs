//! Loads the programs and hands out their two halves.

use super::attach::Probes;
use super::capture::Capture;
use super::connections::Connections;
use super::logger;
use crate::host::privilege::{Capability, Held};
use aya::maps::{Array, Map};
use aya::programs::{Program, ProgramError, ProgramInfo};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use inferscope_ebpf::{Cookie, Hook};
use std::io;

/// The compiled programs. agent/build.rs makes them.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("INFERSCOPE_BPF_OBJECT"));

/// Whom to blame where no capability is missing. Kernels before 5.11 count maps as locked memory, of which a user has little.
const NOTHING_MISSING: &str = "; no capability is missing, so either a security module forbids it, or this kernel is too \
    old: Linux 5.15 or later is needed, and `uname -r` says which one runs";

/// What the loader needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of the ring buffer in bytes: a power of two.
    pub ring_bytes: u32,
    /// Whether kernel-side messages are wanted (`--log bpf=debug`).
    pub verbose: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { ring_bytes: 4 << 20, verbose: false }
    }
}

/// Why the programs could not be loaded, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No permission.
    #[error("the kernel refused to load BPF programs: {error}{blame}")]
    Permission {
        /// What it said.
        error: io::Error,
        /// Which capabilities are missing.
        blame: String,
    },
    /// No permission to attach uprobes.
    #[error("{0}")]
    Uprobes(String),
    /// The object itself.
    #[error("the BPF object could not be loaded: {0}")]
    Object(#[from] EbpfError),
    /// One program.
    #[error("the kernel's verifier refused the program `{name}`: {reason}")]
    Program {
        /// Its name.
        name: String,
        /// The error, with the end of the verifier's log.
        reason: String,
    },
    /// The thread or the reactor that reads.
    #[error("cannot start reading: {0}")]
    Thread(io::Error),
    /// A map.
    #[error("the BPF map `{0}` is missing or of another type")]
    Map(&'static str),
}

/// A loaded program, for `inferscope check --programs` and `/status`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// Instructions that the verifier walked; absent before kernel 5.16.
    pub verified_instructions: Option<u32>,
    /// Bytes of translated code.
    pub translated_bytes: Option<u32>,
}

/// Both halves of a loaded kernel side.
pub struct Kernel {
    /// Attaches and detaches.
    pub probes: Probes,
    /// Reads events, sets volumes.
    pub capture: Capture,
    /// Kernel-side messages; present when [`Options::verbose`].
    pub log: Option<logger::KernelLog>,
}

/// Creates the maps. Programs are loaded when they are first attached, or by [`Probes::load_all`].
///
/// # Errors
/// Where the kernel or the verifier refuses, with what to do about it.
pub fn load(options: Options) -> Result<Kernel, LoadError> {
    let level: u8 = if options.verbose { logger::DEBUG } else { 0 };
    let wake_bytes = u64::from(options.ring_bytes) / 8;
    let sys_close = u64::try_from(libc::SYS_close).unwrap_or(u64::MAX);
    let mut ebpf = EbpfLoader::new()
        .verifier_log_level(VerifierLogLevel::STATS)
        .map_max_entries("EVENTS", options.ring_bytes)
        .override_global(aya_log::LEVEL, &level, false)
        .override_global("WAKE_BYTES", &wake_bytes, true)
        .override_global("SYS_CLOSE", &sys_close, true)
        .load(OBJECT)
        .map_err(permission)?;
    let log = logger::KernelLog::take(&mut ebpf, options.verbose);
    fill_syscalls(&mut ebpf)?;
    let ring = map(&mut ebpf, "EVENTS")?;
    let counts = map(&mut ebpf, "COUNTS")?;
    let connections = Connections::new(map(&mut ebpf, "CONNS")?, map(&mut ebpf, "VOLUMES")?);
    let traced = map(&mut ebpf, "TRACED")?;
    Ok(Kernel {
        probes: Probes::new(ebpf, traced, connections.clone()),
        capture: Capture::new(ring, counts, connections),
        log,
    })
}

fn no_permission(error: io::Error) -> LoadError {
    let mut blame = Held::now().blame(&[Capability::Bpf, Capability::Perfmon]);
    if blame.is_empty() {
        blame.push_str(NOTHING_MISSING);
    }
    LoadError::Permission { error, blame }
}

fn permission(error: EbpfError) -> LoadError {
    use aya::maps::MapError;
    match error {
        EbpfError::MapError(MapError::CreateError { io_error, .. })
            if io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            no_permission(io_error)
        }
        other => LoadError::Object(other),
    }
}

/// Loads a program unless it is loaded. Each is loaded when it is first attached: the verifier takes up to 0.1 s for one
/// that copies bytes, seconds on a busy machine, and most hosts need one of four such.
pub(super) fn load_program(name: &str, program: &mut Program) -> Result<(), LoadError> {
    if program.fd().is_ok() {
        return Ok(());
    }
    let result = match program {
        Program::UProbe(program) => program.load(),
        Program::TracePoint(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        _ => Ok(()),
    };
    result.map_err(|error| refused(name, error))
}

/// What the kernel says of a loaded program.
pub(super) fn loaded(name: &str, program: &Program) -> Option<Loaded> {
    let info = info(program)?;
    Some(Loaded {
        name: name.to_owned(),
        verified_instructions: info.verified_instruction_count(),
        translated_bytes: info.size_translated(),
    })
}

/// The kernel's own account of a loaded program.
pub(super) fn info(program: &Program) -> Option<ProgramInfo> {
    match program {
        Program::UProbe(program) => program.info().ok(),
        Program::TracePoint(program) => program.info().ok(),
        Program::RawTracePoint(program) => program.info().ok(),
        _ => None,
    }
}

fn refused(name: &str, error: ProgramError) -> LoadError {
    match error {
        // EPERM is the lack of a capability. EACCES is the verifier's word for forbidden memory, and only without its
        // explanation that of a security module.
        ProgramError::LoadError { io_error, verifier_log }
            if io_error.kind() == io::ErrorKind::PermissionDenied
                && (io_error.raw_os_error() == Some(libc::EPERM) || verifier_log.to_string().trim().is_empty()) =>
        {
            no_permission(io_error)
        }
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let end: Vec<&str> = log.lines().rev().take(6).collect();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            LoadError::Program { name: name.to_owned(), reason: format!("{io_error}\n{end}") }
        }
        other => LoadError::Program { name: name.to_owned(), reason: other.to_string() },
    }
}

fn map<T: TryFrom<Map>>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, LoadError> {
    ebpf.take_map(name).and_then(|map| T::try_from(map).ok()).ok_or(LoadError::Map(name))
}

/// Tells the syscall programs which number is which hook.
fn fill_syscalls(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    let map = ebpf.map_mut("SYSCALLS").ok_or(LoadError::Map("SYSCALLS"))?;
    let mut syscalls: Array<_, u64> = Array::try_from(map).map_err(|_| LoadError::Map("SYSCALLS"))?;
    for hook in Hook::ALL {
        let Some((number, _)) = syscall_of(hook) else { continue };
        syscalls.set(number, Cookie::of(hook).0, 0).map_err(|_| LoadError::Map("SYSCALLS"))?;
    }
    Ok(())
}

/// Number and tracepoint name of the system call that a socket hook's function makes on this architecture.
#[must_use]
pub fn syscall_of(hook: Hook) -> Option<(u32, &'static str)> {
    let (number, name) = match hook {
        Hook::Read => (libc::SYS_read, "read"),
        Hook::Readv => (libc::SYS_readv, "readv"),
        Hook::Recvfrom => (libc::SYS_recvfrom, "recvfrom"),
        Hook::Recvmsg => (libc::SYS_recvmsg, "recvmsg"),
        Hook::Write => (libc::SYS_write, "write"),
        Hook::Writev => (libc::SYS_writev, "writev"),
        Hook::Sendto => (libc::SYS_sendto, "sendto"),
        Hook::Sendmsg => (libc::SYS_sendmsg, "sendmsg"),
        // The kernel's own name for it.
        Hook::Sendfile => (libc::SYS_sendfile, "sendfile64"),
        Hook::Accept => (libc::SYS_accept, "accept"),
        Hook::Accept4 => (libc::SYS_accept4, "accept4"),
        Hook::Close => (libc::SYS_close, "close"),
        // recv and send are recvfrom and sendto in the kernel.
        _ => return None,
    };
    Some((u32::try_from(number).ok()?, name))
}
