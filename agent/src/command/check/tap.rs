//! Where the messages between a server's processes would be read, and why not elsewhere. Pure.

use crate::config::EngineMessages;
use crate::engine::Role;
use crate::event::Tgid;
use std::fmt;

/// What its messages tell.
const GIVES: &str = "queue, prefill and decode times, every token, batches and KV cache";

/// A process, as far as messages matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// Which.
    pub pid: Tgid,
    /// The process at the top of its server.
    pub root: Tgid,
    /// What it does there.
    pub role: Role,
    /// Messages of this kind of server can be read.
    pub reads: bool,
    /// It maps a message library whose functions can be hooked.
    pub can_hook: bool,
}

/// Where they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tap {
    /// In this process.
    Here,
    /// In that process of the same server.
    At(Tgid),
    /// In the bytes on that front end's sockets.
    Sockets(Tgid),
    /// Nowhere.
    No(Reason),
}

/// Why they are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The configuration says so.
    Off,
    /// The process at whose end they would be read has no library to hook.
    NoLibrary,
    /// They are to be read in the engine, and none of this server was found.
    NoEngine,
    /// They are to be read in the front end, and none of this server was found.
    NoFrontend,
}

/// Where the messages of `party`'s server are read; absent for processes that have no part in them.
pub(super) fn tap(mode: EngineMessages, party: &Party, all: &[Party]) -> Option<Tap> {
    if party.role == Role::Worker || !party.reads {
        return None;
    }
    let at = |role: Role| {
        if party.role == role && party.can_hook {
            return Ok(Tap::Here);
        }
        let mut of_role = all.iter().filter(|other| other.root == party.root && other.role == role).peekable();
        let missing = if role == Role::Engine { Reason::NoEngine } else { Reason::NoFrontend };
        let reason = if of_role.peek().is_some() { Reason::NoLibrary } else { missing };
        of_role.find(|other| other.can_hook).map(|other| Tap::At(other.pid)).ok_or(reason)
    };
    let sockets = || {
        let front = all.iter().find(|other| other.root == party.root && other.role == Role::Frontend);
        front.map(|front| Tap::Sockets(front.pid)).ok_or(Reason::NoFrontend)
    };
    let found = match mode {
        EngineMessages::Off => Err(Reason::Off),
        EngineMessages::Engine => at(Role::Engine),
        EngineMessages::Frontend => at(Role::Frontend),
        EngineMessages::Wire => sockets(),
        EngineMessages::Auto => {
            at(Role::Engine).or_else(|reason| at(Role::Frontend).or_else(|_| sockets()).map_err(|_| reason))
        }
    };
    Some(found.unwrap_or_else(Tap::No))
}

impl fmt::Display for Tap {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tap::Here => write!(to, "messages read here: {GIVES}"),
            Tap::At(pid) => write!(to, "messages read in pid {}: {GIVES}", pid.0),
            Tap::Sockets(pid) => write!(to, "messages read from the sockets of pid {}: {GIVES}", pid.0),
            Tap::No(reason) => write!(to, "messages not read, so no {GIVES}: {}", reason.text()),
        }
    }
}

impl Reason {
    /// As `check` says it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Reason::Off => "capture.engine_messages is off",
            Reason::NoLibrary => "no ZeroMQ library with zmq_msg_send and zmq_msg_recv is mapped where they would be",
            Reason::NoEngine => "no engine of this server was found",
            Reason::NoFrontend => "no front end of this server was found",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EngineMessages::{Auto, Engine, Frontend, Off, Wire};

    const FRONT: u32 = 1;
    const ENGINE: u32 = 2;

    fn party(pid: u32, can_hook: bool) -> Party {
        let role = if pid == FRONT { Role::Frontend } else { Role::Engine };
        Party { pid: Tgid(pid), root: Tgid(FRONT), role, reads: true, can_hook }
    }

    #[test]
    fn each_mode_reads_at_its_end() {
        let here = Some(Tap::Here);
        let at = |pid| Some(Tap::At(Tgid(pid)));
        let sockets = Some(Tap::Sockets(Tgid(FRONT)));
        let no = |reason| Some(Tap::No(reason));
        // Mode, whether front end and engine can be hooked, and what each of them says.
        for (mode, front, engine, of_front, of_engine) in [
            (Auto, true, true, at(ENGINE), here),
            (Auto, false, true, at(ENGINE), here),
            (Auto, true, false, here, at(FRONT)),
            (Auto, false, false, sockets, sockets),
            (Wire, true, true, sockets, sockets),
            (Engine, true, true, at(ENGINE), here),
            (Engine, true, false, no(Reason::NoLibrary), no(Reason::NoLibrary)),
            (Frontend, true, true, here, at(FRONT)),
            (Frontend, false, true, no(Reason::NoLibrary), no(Reason::NoLibrary)),
            (Off, true, true, no(Reason::Off), no(Reason::Off)),
        ] {
            let all = [party(FRONT, front), party(ENGINE, engine)];
            let [front, engine] = all.each_ref().map(|party| tap(mode, party, &all));
            assert_eq!((front, engine), (of_front, of_engine), "{mode:?} {all:?}");
        }
    }

    #[test]
    fn a_process_alone_has_only_its_own_end() {
        let front = party(FRONT, true);
        assert_eq!(tap(Auto, &front, &[front]), Some(Tap::Here));
        assert_eq!(tap(Engine, &front, &[front]), Some(Tap::No(Reason::NoEngine)));
        let other_server = Party { root: Tgid(9), ..party(ENGINE, true) };
        assert_eq!(tap(Engine, &front, &[front, other_server]), Some(Tap::No(Reason::NoEngine)));
        assert_eq!(tap(Frontend, &other_server, &[front, other_server]), Some(Tap::No(Reason::NoFrontend)));
        assert_eq!(tap(Wire, &other_server, &[front, other_server]), Some(Tap::No(Reason::NoFrontend)));
        let offline = party(ENGINE, false);
        assert_eq!(tap(Auto, &offline, &[offline]), Some(Tap::No(Reason::NoLibrary)));
    }

    #[test]
    fn who_has_no_part_in_them_says_nothing() {
        let worker = Party { role: Role::Worker, ..party(ENGINE, true) };
        let other_engine = Party { reads: false, ..party(FRONT, true) };
        assert_eq!(tap(Auto, &worker, &[worker]), None);
        assert_eq!(tap(Auto, &other_engine, &[other_engine]), None);
    }
}
