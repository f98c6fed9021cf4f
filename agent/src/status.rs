//! What `/status` and `check --json` say of the agent: plain types, filled by whoever knows, serialised as they stand.

use crate::engine::Role;
use serde::{Serialize, Serializer};

/// The agent and all that it looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Version of the agent.
    pub version: &'static str,
    /// When it started, in seconds since 1970.
    pub started_unix_seconds: u64,
    /// For how long it has run.
    pub uptime_seconds: u64,
    /// Connections that the core holds.
    pub connections: u64,
    /// Processes of servers, attached to or not.
    pub processes: Vec<Process>,
    /// Functions of theirs, hooked or not.
    pub hooks: Vec<Hook>,
    /// What the kernel side could not send; empty when nothing was lost.
    pub losses: Vec<Loss>,
}

/// A process of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id in the host's pid namespace.
    pub tgid: u32,
    /// Its engine.
    pub engine: String,
    /// What it does in its server.
    #[serde(serialize_with = "role")]
    pub role: Role,
    /// Its service name.
    pub service: String,
    /// How it is known to be such a process.
    pub evidence: String,
    /// Whether its calls are seen.
    #[serde(flatten)]
    pub attachment: Attachment,
}

/// Whether a process's calls are seen: `state` in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Attachment {
    /// They are.
    Attached,
    /// They need not be: it talks to no client.
    NotNeeded,
    /// They cannot be.
    Unsupported {
        /// One word, a label value: from a small closed set.
        reason: String,
        /// One sentence, for people.
        explanation: String,
    },
}

/// One function of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// The process.
    pub process: u32,
    /// Path of the library or executable, as the process maps it.
    pub library: String,
    /// The function.
    pub symbol: String,
    /// How its probes are placed: `behind_syscall`, `emulated_entry`, `entry`.
    pub placement: String,
    /// Why so.
    pub reason: String,
    /// Where: offsets from the symbol.
    pub sites: Vec<u64>,
    /// Whether they are.
    #[serde(flatten)]
    pub state: HookState,
}

/// Whether a hook's probes are in place: `state` in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HookState {
    /// All of them.
    Attached,
    /// The library does not have the function.
    Absent,
    /// The kernel refused.
    Failed {
        /// In its words.
        error: String,
    },
}

/// What was lost at one hook for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The hook.
    pub hook: &'static str,
    /// Why.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

fn role<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match role {
        Role::Frontend => "frontend",
        Role::Worker => "worker",
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn states_are_words_beside_their_subject() {
        let process = Process {
            tgid: 7,
            engine: "vllm".into(),
            role: Role::Frontend,
            service: "chat".into(),
            evidence: "argv contains `vllm serve`".into(),
            attachment: Attachment::Unsupported { reason: "no_libc".into(), explanation: "It maps no libc.".into() },
        };
        let json = serde_json::to_string(&process).unwrap();
        let expected = r#"{"tgid":7,"engine":"vllm","role":"frontend","service":"chat","#.to_owned()
            + r#""evidence":"argv contains `vllm serve`","state":"unsupported","reason":"no_libc","#
            + r#""explanation":"It maps no libc."}"#;
        assert_eq!(json, expected);
    }
}
