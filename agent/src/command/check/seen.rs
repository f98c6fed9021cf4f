//! One process of a server: what it is, which release, and what would be hooked in it.

use super::tap::{self, Party};
use crate::config::EngineMessages;
use crate::engine::{MESSAGES, Role, Target};
use crate::host::discover::Server;
use crate::host::maps::{self, MappedFile};
use crate::host::package;
use crate::kernel::plan;
use crate::status::{self, HookState};
use serde::Serialize;
use std::collections::BTreeSet;

/// A server's process and what would be hooked in it.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    /// Its id.
    pub pid: u32,
    /// Its engine.
    pub engine: &'static str,
    /// The release of it, where a Python distribution says so.
    pub version: Option<String>,
    /// Label value.
    pub service: String,
    /// The container that it runs in.
    pub container: Option<status::Container>,
    /// What it does in its server.
    pub role: &'static str,
    /// How it was recognised.
    pub evidence: String,
    /// Where the messages between the server's processes are read, or why they are not; absent where this process has
    /// no part in them.
    pub messages: Option<String>,
    /// What would be hooked.
    pub hooks: Vec<status::Hook>,
    /// What cannot be.
    pub problems: Vec<String>,
}

/// What /proc and the mapped files say of one process.
struct Look {
    version: Option<String>,
    /// Sockets and TLS.
    calls: Vec<status::Hook>,
    /// The message library's functions.
    messages: Vec<status::Hook>,
    problems: Vec<String>,
}

/// Looks at all processes: where the messages of one are read depends on the others of its server.
pub(super) fn seen(servers: &[Server], mode: EngineMessages) -> Vec<Seen> {
    let looks: Vec<_> = servers.iter().map(Look::at).collect();
    let of_all = || servers.iter().zip(&looks);
    let parties: Vec<_> = of_all().map(|(server, look)| look.party(server)).collect();
    let version_of =
        |of: &Server| of_all().find_map(|(server, look)| look.version.clone().filter(|_| server.root == of.root));
    let versions: Vec<_> = servers.iter().map(version_of).collect();
    let all = servers.iter().zip(looks).zip(&parties).zip(versions);
    all.map(|(((server, look), party), version)| look.seen(server, version, tap::tap(mode, party, &parties))).collect()
}

impl Look {
    fn at(server: &Server) -> Look {
        let tgid = server.process.tgid;
        let mut look = Look { version: None, calls: Vec::new(), messages: Vec::new(), problems: Vec::new() };
        if server.matched.role == Role::Worker {
            return look;
        }
        let files = match maps::mapped_files(tgid) {
            Ok(files) => files,
            Err(error) => {
                look.problems.push(format!("cannot read /proc/{}/maps: {error}", tgid.0));
                return look;
            }
        };
        let paths = files.iter().map(|file| file.path.as_str());
        look.version = package::version(tgid, paths, server.engine.packages());
        for target in server.engine.hooks(&server.process).iter().filter(|target| **target != MESSAGES) {
            look.calls.extend(planned(server, &files, target, &mut look.problems));
        }
        if server.engine.messages().is_some() {
            look.messages = planned(server, &files, &MESSAGES, &mut look.problems);
        }
        look
    }

    fn party(&self, server: &Server) -> Party {
        // A message is sent by one function and received by the other.
        let can_hook = self.messages.len() >= MESSAGES.hooks.len();
        let reads = server.engine.messages().is_some();
        Party { pid: server.process.tgid, root: server.root, role: server.matched.role, reads, can_hook }
    }

    fn seen(self, server: &Server, version: Option<String>, tap: Option<tap::Tap>) -> Seen {
        let Look { version: _, calls, messages, mut problems } = self;
        let mut hooks = calls;
        if tap == Some(tap::Tap::Here) {
            hooks.extend(messages);
        }
        match server.matched.role {
            Role::Frontend if hooks.is_empty() && problems.is_empty() => {
                problems
                    .push("it maps no C library: the syscall tracepoints will be used, which need tracefs".to_owned());
            }
            // Without a front end, nothing else tells of it.
            Role::Engine if tap == Some(tap::Tap::No(tap::Reason::NoLibrary)) && server.root == server.process.tgid => {
                problems.push("nothing of it can be seen".to_owned());
            }
            _ => {}
        }
        Seen {
            pid: server.process.tgid.0,
            engine: server.engine.name(),
            version,
            service: server.service.to_string(),
            container: status::Container::of(&server.enclosed, &server.service),
            role: server.matched.role.name(),
            evidence: server.matched.evidence.clone(),
            messages: tap.map(|tap| tap.to_string()),
            hooks,
            problems,
        }
    }
}

fn planned(
    server: &Server,
    files: &BTreeSet<MappedFile>,
    target: &Target,
    problems: &mut Vec<String>,
) -> Vec<status::Hook> {
    let tgid = server.process.tgid;
    let mut hooks = Vec::new();
    for file in plan::candidates(tgid, files, target.library) {
        match plan::plan(&plan::open_path(tgid, &file), target) {
            Ok(planned) => {
                hooks.extend(planned.iter().map(|planned| planned.status(tgid, &file, HookState::Planned)));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    hooks
}
