//! Which probes a process needs: its mapped libraries, the functions in them, and a placement for each. Reads /proc and
//! ELF files; attaches nothing, so `inferscope check` can show it without touching the process.

use super::elf::Image;
use super::placement::{self, Contract, FOLLOWED_BYTES, Function, Placed, Placement, Price, Wants};
use crate::engine::{Library, Target};
use crate::event::{Layer, Tgid};
use crate::status::{self, HookState};
use inferscope_ebpf::signature::{Kind, Signature};
use inferscope_ebpf::{Action, Cookie, Hook};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that a process maps as code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedFile {
    /// Which.
    pub id: FileId,
    /// Path inside the process's own root. It changes when the file is deleted, the file does not.
    pub path: String,
}

/// Device and inode: the same library in two containers is one file, and a replaced library another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// As /proc/PID/maps writes it.
    pub device: String,
    /// On that device.
    pub inode: u64,
}

/// A function of a mapped file with its probes.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The hook that it serves.
    pub hook: Hook,
    /// Why the probes sit where they sit, and what a call costs.
    pub placed: Placed,
    /// The probes.
    pub probes: Vec<Probe>,
}

impl Planned {
    /// As `/status` and `check` show it.
    #[must_use]
    pub fn status(&self, tgid: Tgid, file: &MappedFile, state: HookState) -> status::Hook {
        status::Hook {
            process: tgid.0,
            library: file.path.clone(),
            symbol: self.hook.name().to_owned(),
            placement: self.placed.placement.name(),
            reason: self.placed.reason.clone(),
            price: self.placed.price.text(),
            sites: self.probes.iter().map(|probe| probe.offset).collect(),
            state,
        }
    }
}

/// One probe: a program on a file offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probe {
    /// Name of the program in the BPF object.
    pub program: &'static str,
    /// Offset in the file, which is how the kernel names uprobes.
    pub offset: u64,
    /// What the program is told.
    pub cookie: u64,
}

/// Why a file gave no probes.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It could not be read through /proc.
    #[error("cannot read {path}: {error}")]
    Read {
        /// As opened.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// It is not an ELF file that we understand.
    #[error("{path}: {reason}")]
    Elf {
        /// As opened.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The files that a process maps executably, once each, in order of path.
///
/// # Errors
/// When /proc/PID/maps cannot be read: the process is gone, or permission is missing.
pub fn mapped_files(tgid: Tgid) -> std::io::Result<BTreeSet<MappedFile>> {
    Ok(fs::read_to_string(format!("/proc/{}/maps", tgid.0))?.lines().filter_map(mapped_file).collect())
}

/// `address perms offset dev inode path`; only executable mappings of files.
fn mapped_file(line: &str) -> Option<MappedFile> {
    let mut fields = line.splitn(6, ' ');
    let (_, permissions, _) = (fields.next()?, fields.next()?, fields.next()?);
    let (device, inode, path) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.trim_start());
    let file = permissions.contains('x') && inode != 0 && path.starts_with('/');
    file.then(|| MappedFile { id: FileId { device: device.to_owned(), inode }, path: path.to_owned() })
}

/// Whether a mapped file can hold a library's functions.
#[must_use]
pub fn belongs(file: &MappedFile, library: Library) -> bool {
    let name = file.path.strip_suffix(" (deleted)").unwrap_or(&file.path).rsplit('/').next().unwrap_or("");
    match library {
        Library::Libc => {
            name.starts_with("libc.so")
                || name.starts_with("libc-2.")
                || name.starts_with("ld-musl-")
                || name.starts_with("libc.musl-")
        }
        Library::OpenSsl => name.starts_with("libssl") && name.contains(".so"),
        Library::ZeroMq => name.starts_with("libzmq") && name.contains(".so"),
        Library::Triton => name.starts_with("libtritonserver") && name.contains(".so"),
        Library::TritonBackend => name.starts_with("libtriton_") && name.contains(".so"),
    }
}

/// The mapped files that may hold a library's functions. OpenSSL may also be linked into the executable.
#[must_use]
pub fn candidates(tgid: Tgid, files: &BTreeSet<MappedFile>, library: Library) -> Vec<MappedFile> {
    let executable = || {
        let path = fs::read_link(format!("/proc/{}/exe", tgid.0)).ok()?;
        files.iter().find(|file| Path::new(&file.path) == path)
    };
    let named = files.iter().filter(|file| belongs(file, library));
    match library {
        Library::Libc | Library::ZeroMq | Library::Triton | Library::TritonBackend => named.cloned().collect(),
        Library::OpenSsl => named.chain(executable()).cloned().collect(),
    }
}

/// How to open a mapped file from here: through the process's own root (containers), or, when it was deleted or replaced
/// meanwhile, through its mapping.
#[must_use]
pub fn open_path(tgid: Tgid, file: &MappedFile) -> PathBuf {
    let proc = format!("/proc/{}", tgid.0);
    if file.path.ends_with(" (deleted)")
        && let Some(mapping) = mapping_of(tgid, file)
    {
        return Path::new(&proc).join("map_files").join(mapping);
    }
    PathBuf::from(format!("{proc}/root{}", file.path))
}

/// Whether a file that a process does not map now still lies where it lay, so that it may be mapped again.
#[must_use]
pub fn is_in_place(tgid: Tgid, file: &MappedFile) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(open_path(tgid, file)).is_ok_and(|metadata| metadata.ino() == file.id.inode)
}

fn mapping_of(tgid: Tgid, file: &MappedFile) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", tgid.0)).ok()?;
    maps.lines()
        .find(|line| mapped_file(line).is_some_and(|mapped| mapped.id == file.id))?
        .split(' ')
        .next()
        .map(str::to_owned)
}

/// Plans the probes of one file for the hooks of one target. Functions that the file lacks are left out.
///
/// # Errors
/// When the file cannot be read or is not ELF.
pub fn plan(path: &Path, target: &Target) -> Result<Vec<Planned>, PlanError> {
    let shown = || path.display().to_string();
    let bytes = fs::read(path).map_err(|error| PlanError::Read { path: shown(), error })?;
    let image = Image::parse(&bytes).map_err(|error| PlanError::Elf { path: shown(), reason: error.to_string() })?;
    let follow = |address| image.code_at(address, FOLLOWED_BYTES);
    let place = |hook: Hook| {
        let symbol = image.symbol(hook.name())?;
        let function = Function { address: symbol.address, code: image.code(&symbol), follow: &follow };
        let placed = placement::place(image.machine(), &function, &Contract::of(hook)?);
        Some((hook, symbol.address, placed, start(&image, &function, hook)))
    };
    let placed: Vec<_> = target.hooks.iter().filter_map(|hook| place(*hook)).collect();
    let own: BTreeSet<u64> = placed.iter().map(|(_, address, ..)| *address).collect();
    // A function that only jumps on to another probed one would count each call twice.
    let twice = |placed: &Placed| placed.passes_to.is_some_and(|to| own.contains(&to));
    let planned = placed.into_iter().filter(|(_, _, placed, _)| !twice(placed));
    let planned = planned.filter_map(|(hook, address, mut placed, start)| {
        let mut probes = probes(hook, address, &placed.placement, &image)?;
        if let (Placement::BehindSyscall { .. }, Some(start)) = (&placed.placement, start) {
            let offset = image.file_offset(start)?;
            probes.insert(0, Probe { program: "socket_start", offset, cookie: Cookie::of(hook).0 });
            placed.reason = format!("{}, stamped where it begins", placed.reason);
            placed.price = Price::TwoTraps;
        }
        Some(Planned { hook, placed, probes })
    });
    Ok(planned.collect())
}

/// Where a write can be stamped cheaply before it acts. Behind its system call is too late: a client that the write wakes
/// may run first, and would have received what had not left.
fn start(image: &Image<'_>, function: &Function<'_>, hook: Hook) -> Option<u64> {
    if hook.action() != Action::Write || Layer::of(hook) != Layer::Socket {
        return None;
    }
    let contract = Contract { wants: Wants::ArgumentsOnly, ..Contract::of(hook)? };
    match placement::place(image.machine(), function, &contract).placement {
        Placement::EmulatedEntry { enter } => Some(enter),
        _ => None,
    }
}

/// The programs of a placement.
fn probes(hook: Hook, address: u64, placement: &Placement, image: &Image<'_>) -> Option<Vec<Probe>> {
    let cookie = Cookie::of(hook).0;
    let at = |program, address| Some(Probe { program, offset: image.file_offset(address)?, cookie });
    let wants = Contract::of(hook)?.wants;
    let (enter, leave) = match (Layer::of(hook), wants) {
        (Layer::Socket, Wants::ArgumentsAndResult) => ("socket_enter", Some("socket_return")),
        (Layer::Socket, Wants::ArgumentsOnly) => ("socket_close", None),
        (Layer::Tls, Wants::ArgumentsAndResult) => ("tls_enter", Some("tls_return")),
        (Layer::Tls, Wants::ArgumentsOnly) => ("tls_free", None),
        (Layer::Message, Wants::ArgumentsAndResult) => ("message_enter", Some("message_return")),
        (Layer::Message, Wants::ArgumentsOnly) => ("message_send", None),
        (Layer::Call, _) => span_programs(Signature::of(hook)?.kind),
    };
    match placement {
        Placement::BehindSyscall { sites } => sites.iter().map(|site| at("socket_whole", *site)).collect(),
        Placement::Joined { enter, exits } => {
            // The exits are shared between wrappers: the same cookie everywhere, so that they are attached once.
            let exits = exits.iter().map(|exit| Some(Probe { cookie: 0, ..at("socket_exit", *exit)? }));
            std::iter::once(at("socket_enter", *enter)).chain(exits).collect()
        }
        Placement::EmulatedEntry { enter: site } => entry(at, enter, leave, *site),
        Placement::Entry => entry(at, enter, leave, address),
    }
}

/// Entry and return.
const fn span_programs(kind: Kind) -> (&'static str, Option<&'static str>) {
    match kind {
        Kind::Told => ("span_call", None),
        Kind::Makes => ("span_enter", Some("span_made")),
        Kind::Tried => ("span_try", Some("span_refused")),
        Kind::Lists => ("span_list", None),
        Kind::Made => ("span_make", None),
        Kind::Sent => ("span_send", None),
    }
}

fn entry(
    at: impl Fn(&'static str, u64) -> Option<Probe>,
    enter: &'static str,
    leave: Option<&'static str>,
    site: u64,
) -> Option<Vec<Probe>> {
    // The return probe first: between the two attachments an entry without a return would leave an entry behind.
    leave.into_iter().chain([enter]).map(|program| at(program, site)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_executable_file_mappings_count() {
        let file = mapped_file("7f0-7f1 r-xp 00026000 fe:00 132 /usr/lib/libc.so.6").unwrap();
        let id = FileId { device: "fe:00".to_owned(), inode: 132 };
        assert_eq!((file.id, file.path.as_str()), (id, "/usr/lib/libc.so.6"));
        assert!(mapped_file("7f0-7f1 rw-p 00026000 fe:00 132 /usr/lib/libc.so.6").is_none());
        assert!(mapped_file("7f0-7f1 r-xp 00000000 00:00 0 [vdso]").is_none());
        assert_eq!(mapped_file("7-8 r-xp 0 fe:00 9                  /a b (deleted)").unwrap().path, "/a b (deleted)");
    }

    #[test]
    fn libraries_are_matched_by_name_pattern() {
        let file = |path: &str| MappedFile { id: FileId { device: String::new(), inode: 1 }, path: path.to_owned() };
        for name in ["libc.so.6", "libc-2.31.so", "ld-musl-x86_64.so.1", "libc.so.6 (deleted)"] {
            assert!(belongs(&file(&format!("/lib/{name}")), Library::Libc), "{name}");
        }
        for name in ["libcap.so.2", "libcrypto.so.3", "ld-linux-x86-64.so.2", "libc10.so"] {
            assert!(!belongs(&file(&format!("/lib/{name}")), Library::Libc), "{name}");
        }
        for name in ["libssl.so.3", "libssl-57118d4e.so.3", "libssl-81259c47.so.1.1.1k"] {
            assert!(belongs(&file(&format!("/x/{name}")), Library::OpenSsl), "{name}");
        }
        assert!(belongs(&file("/x/pyzmq.libs/libzmq-2f02442c.so.5.2.5"), Library::ZeroMq));
        assert!(!belongs(&file("/x/zmq/_zmq.abi3.so"), Library::ZeroMq));
        for name in ["libtritonserver.so", "libtritonserver-717102f0.so", "libtritonserver.so.2 (deleted)"] {
            assert!(belongs(&file(&format!("/x/{name}")), Library::Triton), "{name}");
            assert!(!belongs(&file(&format!("/x/{name}")), Library::TritonBackend), "{name}");
        }
        assert!(belongs(&file("/opt/tritonserver/backends/python/libtriton_python.so"), Library::TritonBackend));
        assert!(!belongs(&file("/x/triton/_C/libtriton.so"), Library::TritonBackend), "OpenAI's compiler");
    }

    #[test]
    fn this_machines_libc_gives_probes_for_every_socket_hook() {
        let libc = mapped_files(Tgid(std::process::id()))
            .unwrap()
            .into_iter()
            .find(|file| belongs(file, Library::Libc))
            .expect("a dynamic test binary maps libc");
        let target = crate::engine::HTTP_SERVER.iter().find(|target| target.library == Library::Libc).unwrap();
        let planned = plan(&open_path(Tgid(std::process::id()), &libc), target).unwrap();
        assert_eq!(planned.len(), target.hooks.len());
        assert!(planned.iter().all(|planned| !planned.probes.is_empty()));
    }
}
