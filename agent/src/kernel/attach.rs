//! The attaching half: probes on and off processes. May block for milliseconds in the kernel; never on the pipeline's
//! thread.

use super::connections::Connections;
use super::load::{self, LoadError, Loaded, load_program, syscall_of};
use super::plan::{self, Probe};
use crate::config::Source;
use crate::engine::{Library, Target};
use crate::event::{LOG, Tgid};
use crate::host::maps::{self, FileId, MappedFile};
use crate::host::privilege::{Capability, Held};
use crate::host::sockets;
use crate::status::{self, HookState};
use aya::Ebpf;
use aya::maps::{HashMap, MapData};
use aya::programs::trace_point::TracePointLink;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{Program, ProgramError, RawTracePoint, TracePoint, UProbe};
use aya::sys::{Stats, enable_stats};
use inferscope_ebpf::{Hook, SOURCE_SYSCALLS, SOURCE_UPROBES};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

/// Of a kernel whose programs cannot be told which function they see.
const NO_COOKIES: &str = "this kernel is too old: it has no attach cookies for uprobes, which came with Linux 5.15; \
    `uname -r` says which one runs";

/// Why a process could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It is gone, or /proc does not let us look.
    #[error("cannot read /proc/{0}/maps: {1}")]
    Maps(u32, io::Error),
    /// The kernel does not let us: a program, or a probe.
    #[error("{0}")]
    Refused(String),
    /// A program or map of ours.
    #[error("{0}")]
    Program(String),
}

impl AttachError {
    fn of(error: &ProgramError) -> AttachError {
        if matches!(error, ProgramError::AttachCookieNotSupported) {
            return AttachError::Refused(NO_COOKIES.to_owned());
        }
        let text = with_causes(error);
        let mut cause = error.source();
        while let Some(error) = cause {
            if error.downcast_ref().is_some_and(|io: &io::Error| io.kind() == io::ErrorKind::PermissionDenied) {
                let blame = Held::now().blame(&[Capability::Perfmon, Capability::SysAdmin]);
                return AttachError::Refused(format!("the kernel refuses a uprobe: {text}{blame}"));
            }
            cause = error.source();
        }
        AttachError::Program(text)
    }
}

#[derive(Default)]
struct Attachment {
    files: BTreeMap<FileId, Probed>,
    /// What stands for the socket calls where there are no files to probe.
    syscalls: Vec<status::Hook>,
}

/// A file that has been looked at.
struct Probed {
    file: MappedFile,
    /// The targets that it was looked at for.
    targets: Vec<Target>,
    /// Wrappers may share an exit, which is then attached once; without a link where the kernel refused.
    probes: BTreeMap<Probe, Option<UProbeLink>>,
    hooks: Vec<status::Hook>,
}

impl Attachment {
    fn links(&self) -> usize {
        self.files.values().flat_map(|probed| probed.probes.values()).flatten().count()
    }

    fn hooks(&self) -> impl Iterator<Item = &status::Hook> {
        self.syscalls.iter().chain(self.files.values().flat_map(|probed| &probed.hooks))
    }

    fn into_links(self) -> impl Iterator<Item = UProbeLink> {
        self.files.into_values().flat_map(|probed| probed.probes.into_values()).flatten()
    }
}

/// Attaches and detaches.
pub struct Probes {
    ebpf: Ebpf,
    traced: HashMap<MapData, u32, u32>,
    connections: Connections,
    attached: BTreeMap<Tgid, Attachment>,
    /// On every socket call of the host, as long as a process needs them.
    tracepoints: Vec<TracePointLink>,
    /// While it is open, the kernel counts the run time of programs (about 20 ns a run).
    statistics: Option<OwnedFd>,
}

impl Probes {
    pub(super) fn new(ebpf: Ebpf, traced: HashMap<MapData, u32, u32>, connections: Connections) -> Probes {
        let statistics = enable_stats(Stats::RunTime).ok();
        Probes { ebpf, traced, connections, attached: BTreeMap::new(), tracepoints: Vec::new(), statistics }
    }

    /// Loads every program, needed or not: the verifier's judgement on all of them.
    ///
    /// # Errors
    /// With the first program that the verifier refuses.
    pub fn load_all(&mut self) -> Result<Vec<Loaded>, LoadError> {
        self.ebpf.programs_mut().try_for_each(|(name, program)| load_program(name, program))?;
        Ok(self.ebpf.programs().filter_map(|(name, program)| load::loaded(name, program)).collect())
    }

    /// Attaches the exec, fork and exit tracepoints.
    ///
    /// # Errors
    /// When raw tracepoints are not to be had: discovery then works by scans alone.
    pub fn watch_processes(&mut self) -> Result<(), AttachError> {
        for (program, point) in [
            ("process_exec", "sched_process_exec"),
            ("process_fork", "sched_process_fork"),
            ("process_exit", "sched_process_exit"),
        ] {
            let attached = self.program::<RawTracePoint>(program)?.attach(point);
            attached.map_err(|error| AttachError::Program(format!("tracepoint {point}: {}", with_causes(&error))))?;
        }
        Ok(())
    }

    /// Attaches what a process has by now, and makes its open connections known. Calling it again looks for libraries
    /// that were mapped since. Returns whether anything new was attached.
    ///
    /// # Errors
    /// When the process is gone or cannot be looked at. A function that could not be probed is no error of the process:
    /// its state says why.
    pub fn attach(&mut self, tgid: Tgid, targets: &[Target], source: Source) -> Result<bool, AttachError> {
        let files = maps::mapped_files(tgid).map_err(|error| AttachError::Maps(tgid.0, error))?;
        let mut attachment = self.attached.remove(&tgid).unwrap_or_default();
        let first = attachment.files.is_empty() && attachment.syscalls.is_empty();
        let before = attachment.links();
        release(tgid, &mut attachment, &files);
        let sockets = targets.iter().any(|target| target.library == Library::Libc);
        let libc = || files.iter().any(|file| plan::belongs(file, Library::Libc));
        let by_syscalls = source == Source::Syscalls || (source == Source::Auto && !libc());
        if sockets && by_syscalls && attachment.syscalls.is_empty() {
            self.attach_syscalls(tgid, &mut attachment)?;
        }
        // Before the first probe: its events must find the process traced.
        let kind = if attachment.syscalls.is_empty() { SOURCE_UPROBES } else { SOURCE_SYSCALLS };
        self.traced.insert(tgid.0, kind, 0).map_err(|error| AttachError::Program(error.to_string()))?;
        for target in targets {
            if target.library == Library::Libc && !attachment.syscalls.is_empty() {
                continue;
            }
            for file in plan::candidates(tgid, &files, target.library) {
                self.attach_file(tgid, file, target, &mut attachment);
            }
        }
        let grown = attachment.links() > before || (first && !attachment.syscalls.is_empty());
        self.attached.insert(tgid, attachment);
        if first && grown && sockets {
            self.add_open_connections(tgid);
        }
        Ok(grown)
    }

    /// Makes what an attached process writes to its standard output and error known like a connection, whatever these are.
    pub fn read_log(&self, tgid: Tgid) {
        let generation = crate::host::clock::now().0 as u32;
        for descriptor in LOG {
            self.connections.add_midway(tgid, descriptor, generation);
        }
    }

    /// Attaches one probe, which stays until the link is dropped. Nothing else of the process is touched.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach_probe(&mut self, tgid: Tgid, path: &Path, probe: Probe) -> Result<UProbeLink, AttachError> {
        let pid = NonZeroU32::new(tgid.0).ok_or_else(|| AttachError::Program("there is no process 0".to_owned()))?;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(probe.offset),
            cookie: Some(probe.cookie),
        };
        let program = self.program::<UProbe>(probe.program)?;
        let link = program.attach(point, path, UProbeScope::OneProcess(pid));
        link.and_then(|link| program.take_link(link)).map_err(|error| AttachError::of(&error))
    }

    /// Takes every probe off these processes and forgets their connections. In a thread of its own: the kernel waits for
    /// every probe until no processor is inside it, one probe after the other (up to 80 ms each on a busy machine).
    pub fn detach(&mut self, processes: impl IntoIterator<Item = Tgid>) -> JoinHandle<()> {
        let mut links = Vec::new();
        for tgid in processes {
            let _ = self.traced.remove(&tgid.0);
            self.connections.forget(tgid);
            links.extend(self.attached.remove(&tgid).into_iter().flat_map(Attachment::into_links));
        }
        let needed = self.attached.values().any(|attachment| !attachment.syscalls.is_empty());
        let tracepoints = if needed { Vec::new() } else { std::mem::take(&mut self.tracepoints) };
        std::thread::spawn(move || drop((links, tracepoints)))
    }

    /// The functions of an attached process.
    pub fn hooks(&self, tgid: Tgid) -> impl Iterator<Item = &status::Hook> {
        self.attached.get(&tgid).into_iter().flat_map(Attachment::hooks)
    }

    /// Kernel run time of each program since it was loaded; none where the kernel does not count it.
    #[must_use]
    pub fn run_times(&self) -> Vec<(String, Duration)> {
        if self.statistics.is_none() {
            return Vec::new();
        }
        let time = |(name, program): (&str, &Program)| Some((name.to_owned(), load::info(program)?.run_time()));
        self.ebpf.programs().filter_map(time).collect()
    }

    fn attach_file(&mut self, tgid: Tgid, file: MappedFile, target: &Target, attachment: &mut Attachment) {
        let new = || Probed { file: file.clone(), targets: Vec::new(), probes: BTreeMap::new(), hooks: Vec::new() };
        let probed = attachment.files.entry(file.id.clone()).or_insert_with(new);
        if probed.targets.contains(target) {
            return;
        }
        probed.targets.push(*target);
        let path = plan::open_path(tgid, &file);
        let planned = match plan::plan(&path, target) {
            Ok(planned) => planned,
            Err(error) => {
                let blame = Held::now().blame(&[Capability::SysPtrace, Capability::DacReadSearch]);
                tracing::warn!(pid = tgid.0, "no probes in {}: {error}{blame}", file.path);
                return;
            }
        };
        for planned in planned {
            let mut state = HookState::Attached;
            for probe in &planned.probes {
                if probed.probes.contains_key(probe) {
                    continue;
                }
                let link = match self.attach_probe(tgid, &path, *probe) {
                    Ok(link) => Some(link),
                    Err(error) => {
                        state = HookState::Failed { error: error.to_string() };
                        None
                    }
                };
                probed.probes.insert(*probe, link);
            }
            if let HookState::Failed { error } = &state {
                tracing::warn!(pid = tgid.0, "cannot probe {} in {}: {error}", planned.hook.name(), file.path);
            }
            probed.hooks.push(planned.status(tgid, &file, state));
        }
    }

    fn tracepoint(&mut self, program: &str, point: &str) -> Result<TracePointLink, AttachError> {
        let program = self.program::<TracePoint>(program)?;
        let attached = program.attach("syscalls", point).and_then(|link| program.take_link(link));
        attached.map_err(|error| {
            let causes = with_causes(&error);
            AttachError::Program(format!("tracepoint syscalls:{point}: {causes} (is tracefs mounted?)"))
        })
    }

    fn program<'a, T>(&'a mut self, name: &str) -> Result<&'a mut T, AttachError>
    where
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let program = self.ebpf.program_mut(name);
        let program = program.ok_or_else(|| AttachError::Program(format!("there is no program `{name}`")))?;
        load_program(name, program).map_err(|error| match error {
            LoadError::Permission { .. } | LoadError::Program { .. } => AttachError::Refused(error.to_string()),
            _ => AttachError::Program(error.to_string()),
        })?;
        program.try_into().map_err(|error: ProgramError| AttachError::Program(error.to_string()))
    }

    /// The fallback: one pair of tracepoints per system call, for all processes that need it.
    fn attach_syscalls(&mut self, tgid: Tgid, attachment: &mut Attachment) -> Result<(), AttachError> {
        let names = || Hook::ALL.into_iter().filter_map(syscall_of).map(|(_, name)| name);
        if self.tracepoints.is_empty() {
            let mut tracepoints = Vec::new();
            for name in names() {
                tracepoints.push(self.tracepoint("syscall_enter", &format!("sys_enter_{name}"))?);
                tracepoints.push(self.tracepoint("syscall_exit", &format!("sys_exit_{name}"))?);
            }
            self.tracepoints = tracepoints;
        }
        attachment.syscalls.extend(names().map(|name| status::Hook {
            process: tgid.0,
            library: "syscalls".to_owned(),
            symbol: name.to_owned(),
            placement: "syscall_tracepoint",
            reason: "the process maps no C library, or the configuration says so".to_owned(),
            price: "0.8 to 0.9 us, and every process on the host 0.3 to 0.6 us",
            sites: Vec::new(),
            state: HookState::Attached,
        }));
        Ok(())
    }

    fn add_open_connections(&mut self, tgid: Tgid) {
        let generation = crate::host::clock::now().0 as u32;
        let served = sockets::served(tgid).unwrap_or_else(|error| {
            let blame = Held::now().blame(&[Capability::SysPtrace, Capability::DacReadSearch]);
            tracing::warn!(pid = tgid.0, "connections that are open already are not known: {error}{blame}");
            Vec::new()
        });
        for descriptor in served {
            self.connections.add_midway(tgid, descriptor, generation);
        }
    }
}

/// Takes probes off files that the process has unmapped for good. One that may be mapped again keeps them: the kernel puts
/// them where it is mapped then, before it runs.
fn release(tgid: Tgid, attachment: &mut Attachment, mapped: &BTreeSet<MappedFile>) {
    let is_mapped = |id: &FileId| mapped.iter().any(|file| file.id == *id);
    let gone = |id: &FileId, probed: &mut Probed| !is_mapped(id) && !plan::is_in_place(tgid, &probed.file);
    let links: Vec<_> =
        attachment.files.extract_if(.., gone).flat_map(|(_, probed)| probed.probes.into_values()).flatten().collect();
    if !links.is_empty() {
        tracing::info!(pid = tgid.0, probes = links.len(), "probes taken off libraries that are gone");
        // As in [`Probes::detach`].
        drop(std::thread::spawn(move || drop(links)));
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
