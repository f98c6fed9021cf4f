//! The thread that finds servers and puts probes on them. It may block in the kernel; the pipeline never waits for it.

use crate::config::{EngineMessages, Source};
use crate::core::ProcessChange;
use crate::engine::{MESSAGES, Role, Target};
use crate::event::Tgid;
use crate::host::clock;
use crate::host::discover::{Change, Discovery, Server};
use crate::host::identity::Identity;
use crate::host::privilege::{Capability, Held};
use crate::host::{maps, package, procfs};
use crate::kernel::attach::Probes;
use crate::service::Service;
use crate::status::{self, Attachment, HookState};
use inferscope_ebpf::Hook;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When to look again for libraries that a server maps late (a server imports its TLS library long after its start).
const LIBRARY_LOOKS: [u64; 6] = [1, 3, 10, 30, 60, 120];
/// And from then on.
const LIBRARY_INTERVAL: Duration = Duration::from_secs(60);
/// At least so long between the looks that new threads of a server ask for.
const PROMPTED_LOOKS: Duration = Duration::from_secs(1);
/// How long a front end waits for its engine to be found, before its own end of the message queue is hooked: vLLM's engine
/// starts half a minute after its front end.
const ENGINE_WAIT: Duration = Duration::from_secs(60);
/// At most so long between two looks at what is due, whatever that says: a wake-up costs little.
const IDLE: Duration = Duration::from_secs(2);

/// What the pipeline tells this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// exec, fork or exit of a process.
    Process(Tgid, Hook),
    /// Detach everything and end.
    Stop,
}

/// A server's process, as `/status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// The process.
    pub process: status::Process,
    /// Its server.
    pub service: Service,
    /// Who its server is.
    pub identity: Identity,
    /// Its hooks; none for workers.
    pub hooks: Vec<status::Hook>,
    /// The operator named it: it must work.
    pub named: bool,
    /// The process at the top of its server.
    pub root: Tgid,
    /// The model that it was started for, "" where its command line does not say.
    pub model: String,
}

/// What is known of all servers, for `/status` and metrics.
pub type Known = Arc<Mutex<Vec<ServerState>>>;

/// The thread's state.
pub struct Servers<F> {
    discovery: Discovery,
    probes: Probes,
    source: Source,
    messages: EngineMessages,
    tell: F,
    known: Known,
    attached: BTreeMap<Tgid, Attached>,
    identities: BTreeMap<Tgid, Identity>,
    run_times: RunTimes,
}

/// Where calls and messages are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Of socket calls.
    pub source: Source,
    /// Of messages between a server's processes.
    pub messages: EngineMessages,
}

/// Kernel run time of each program, refreshed by this thread.
pub type RunTimes = Arc<Mutex<Vec<(String, Duration)>>>;

struct Attached {
    since: Instant,
    looks: usize,
    last: Instant,
    next: Instant,
    error: Option<String>,
}

impl<F: FnMut(ProcessChange)> Servers<F> {
    /// Finds with `discovery`, attaches with `probes`, tells the core through `tell`.
    pub fn new(discovery: Discovery, probes: Probes, ends: Ends, known: Known, times: RunTimes, tell: F) -> Self {
        let Ends { source, messages } = ends;
        let (attached, identities) = (BTreeMap::new(), BTreeMap::new());
        Servers { discovery, probes, source, messages, tell, known, attached, identities, run_times: times }
    }

    /// Runs until told to stop, or until the pipeline is gone. Detaches everything at the end.
    pub fn run(mut self, notices: &Receiver<Notice>) {
        if let Err(error) = self.probes.watch_processes() {
            tracing::warn!("new servers are found by scans only: {error}");
        }
        loop {
            self.turn();
            let wait = self.next_due().saturating_duration_since(Instant::now()).min(IDLE);
            match notices.recv_timeout(wait) {
                Ok(Notice::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(notice) => self.notice(notice),
                Err(RecvTimeoutError::Timeout) => {}
            }
            // A burst (a server that starts a hundred threads) is one turn.
            while let Ok(notice) = notices.try_recv() {
                if notice == Notice::Stop {
                    return self.stop();
                }
                self.notice(notice);
            }
        }
        self.stop();
    }

    fn notice(&mut self, notice: Notice) {
        let Notice::Process(tgid, hook) = notice else { return };
        let now = Instant::now();
        match hook {
            Hook::Exec => self.discovery.executed(tgid, now),
            Hook::Fork => {
                self.discovery.forked(now);
                self.prompt(tgid, now);
            }
            // The turn that follows sees that it is gone.
            _ => {}
        }
    }

    /// New threads of a process may serve a library that was loaded for them (a Triton model's, whose threads start before
    /// it is ready): a look now sees its first call.
    fn prompt(&mut self, tgid: Tgid, now: Instant) {
        let Some(server) = self.discovery.servers().find(|server| server.process.tgid == tgid) else { return };
        let targets = server.engine.hooks(&server.process);
        if !targets.iter().any(|target| target.library.comes_and_goes()) {
            return;
        }
        if let Some(attached) = self.attached.get_mut(&tgid) {
            attached.next = attached.next.min(now.max(attached.last + PROMPTED_LOOKS));
        }
    }

    fn next_due(&self) -> Instant {
        self.attached.values().map(|attached| attached.next).fold(self.discovery.next_due(), Instant::min)
    }

    fn turn(&mut self) {
        let now = Instant::now();
        for change in self.discovery.turn(now) {
            match change {
                Change::Started(server) => self.started(&server, now),
                Change::Ended(tgid) => self.ended(tgid),
            }
        }
        let due: Vec<Tgid> = self.attached.iter().filter(|(_, a)| a.next <= now).map(|(tgid, _)| *tgid).collect();
        for tgid in due {
            self.look_for_libraries(tgid, now);
        }
        *self.run_times.lock().unwrap_or_else(PoisonError::into_inner) = self.probes.run_times();
        self.publish();
    }

    fn started(&mut self, server: &Server, now: Instant) {
        let tgid = server.process.tgid;
        let (engine, service) = (server.engine.name(), &server.service);
        let Server { process, enclosed, root, matched, .. } = server;
        let top = (*root, &*procfs::executable(*root));
        self.identities.insert(tgid, Identity::new(process, enclosed, top, matched.port));
        match &service.workload {
            Some(workload) => {
                tracing::info!(pid = tgid.0, engine, %service, "found in {workload}: {}", matched.evidence)
            }
            None => tracing::info!(pid = tgid.0, engine, %service, "found: {}", matched.evidence),
        }
        if !self.is_wanted(server) {
            return;
        }
        // The core must know the process before its first event.
        (self.tell)(ProcessChange::Started {
            time: clock::now(),
            tgid,
            engine: engine.to_owned(),
            service: service.clone(),
            root: server.root,
            inside: server.inside,
            role: server.matched.role,
            model: server.matched.model.clone().unwrap_or_default(),
        });
        self.attached.insert(tgid, Attached { since: now, looks: 0, last: now, next: now, error: None });
        self.look_for_libraries(tgid, now);
    }

    fn look_for_libraries(&mut self, tgid: Tgid, now: Instant) {
        let Some(server) = self.discovery.servers().find(|server| server.process.tgid == tgid) else { return };
        let targets = self.targets(server, now);
        if let Some(identity) = self.identities.get_mut(&tgid).filter(|identity| identity.version.is_none()) {
            identity.version = version(server);
        }
        let Some(attached) = self.attached.get_mut(&tgid) else { return };
        // A look that threads asked for may have come before its turn.
        while LIBRARY_LOOKS.get(attached.looks).is_some_and(|after| attached.since + Duration::from_secs(*after) <= now)
        {
            attached.looks += 1;
        }
        attached.last = now;
        attached.next = match LIBRARY_LOOKS.get(attached.looks) {
            Some(after) => attached.since + Duration::from_secs(*after),
            None => now + LIBRARY_INTERVAL,
        };
        match self.probes.attach(tgid, &targets, self.source) {
            Ok(true) => {
                let attached = self.probes.hooks(tgid).filter(|hook| hook.state == HookState::Attached);
                tracing::info!(pid = tgid.0, hooks = attached.count(), "probes attached");
                if server.engine.jobs().is_some() {
                    self.probes.read_log(tgid);
                }
            }
            Ok(false) => {}
            Err(error) => {
                if attached.error.is_none() {
                    tracing::warn!(pid = tgid.0, "cannot attach: {error}");
                }
                attached.error = Some(error.to_string());
                return;
            }
        }
        attached.error = None;
    }

    /// What to hook: what the engine says, and for messages at the end that the configuration says.
    fn targets(&self, server: &Server, now: Instant) -> Vec<Target> {
        let mut targets = server.engine.hooks(&server.process).to_vec();
        if server.matched.role == Role::Frontend && server.engine.messages().is_some() && self.at_frontend(server, now)
        {
            targets.push(MESSAGES);
        }
        targets
    }

    fn at_frontend(&self, server: &Server, now: Instant) -> bool {
        match self.messages {
            EngineMessages::Frontend => true,
            EngineMessages::Engine | EngineMessages::Wire | EngineMessages::Off => false,
            EngineMessages::Auto => {
                let waited = self.attached.get(&server.process.tgid).map(|attached| now - attached.since);
                let mut engines = self.discovery.servers().filter(|other| other.root == server.root);
                waited.is_some_and(|waited| waited >= ENGINE_WAIT)
                    && !engines.any(|other| {
                        self.attachment(other.process.tgid) == Attachment::Attached
                            && other.matched.role == Role::Engine
                    })
            }
        }
    }

    /// Whether the process is to be attached to.
    fn is_wanted(&self, server: &Server) -> bool {
        match server.matched.role {
            Role::Frontend => true,
            Role::Engine => matches!(self.messages, EngineMessages::Auto | EngineMessages::Engine),
            Role::Worker => false,
        }
    }

    fn ended(&mut self, tgid: Tgid) {
        tracing::info!(pid = tgid.0, "ended");
        self.identities.remove(&tgid);
        if self.attached.remove(&tgid).is_some() {
            // Nobody waits for it: its successor may be starting already.
            drop(self.probes.detach([tgid]));
            (self.tell)(ProcessChange::Ended { time: clock::now(), tgid });
        }
    }

    fn publish(&self) {
        let state = |server: &Server| {
            let tgid = server.process.tgid;
            ServerState {
                process: status::Process {
                    tgid: tgid.0,
                    engine: server.engine.name().to_owned(),
                    role: server.matched.role,
                    service: server.service.to_string(),
                    container: status::Container::of(&server.enclosed, &server.service),
                    evidence: server.matched.evidence.clone(),
                    attachment: self.attachment(tgid),
                },
                service: server.service.clone(),
                identity: self.identities.get(&tgid).cloned().unwrap_or_default(),
                hooks: self.probes.hooks(tgid).cloned().collect(),
                named: server.named,
                root: server.root,
                model: server.matched.model.clone().unwrap_or_default(),
            }
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = self.discovery.servers().map(state).collect();
    }

    fn attachment(&self, tgid: Tgid) -> Attachment {
        let Some(attached) = self.attached.get(&tgid) else { return Attachment::NotNeeded };
        if let Some(error) = &attached.error {
            let explanation = error.clone();
            return Attachment::Unsupported { reason: "attach_failed".to_owned(), explanation };
        }
        if self.probes.hooks(tgid).any(|hook| hook.state == HookState::Attached) {
            return Attachment::Attached;
        }
        Attachment::Unsupported {
            reason: "no_probes".to_owned(),
            explanation: format!(
                "No function of this process could be probed{}.",
                Held::now().blame(&[Capability::SysPtrace, Capability::DacReadSearch])
            ),
        }
    }

    fn stop(mut self) {
        let _ = self.probes.detach(std::mem::take(&mut self.attached).into_keys()).join();
    }
}

/// The version of the server's program, where its libraries are there.
fn version(server: &Server) -> Option<String> {
    let files = maps::mapped_files(server.process.tgid).ok()?;
    package::version(server.process.tgid, files.iter().map(|file| file.path.as_str()), server.engine.packages())
}
