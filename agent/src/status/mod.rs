//! What `/status` and `check --json` say of the agent: plain types, filled by whoever knows, serialised as they stand.

pub mod gpu;

use crate::engine::Role;
use inferscope_ebpf::Counts;
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
    /// Where figures of GPUs come from, and which there are not.
    pub gpu: gpu::Gpu,
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
    /// How its probes are placed: `behind_syscall`, `joined`, `emulated_entry`, `entry`, or `syscall_tracepoint`.
    pub placement: &'static str,
    /// Why so.
    pub reason: String,
    /// What a call costs the process, as measured (docs/journal).
    pub price: &'static str,
    /// Where: file offsets of the probes.
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
    /// They would be (`check` attaches nothing).
    Planned,
    /// The kernel refused.
    Failed {
        /// In its words.
        error: String,
    },
}

/// What was lost at one hook for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The hook.
    pub hook: &'static str,
    /// Why.
    pub reason: &'static str,
    /// How often.
    pub count: u64,
}

impl Loss {
    /// What the kernel side's counters say was lost.
    #[must_use]
    pub fn of(counts: &[(inferscope_ebpf::Hook, Counts)]) -> Vec<Loss> {
        let losses = counts.iter().flat_map(|(hook, counts)| {
            let by_reason = inferscope_ebpf::Loss::ALL.into_iter().zip(counts.lost);
            by_reason.map(|(reason, count)| Loss { hook: hook.name(), reason: reason.name(), count })
        });
        losses.filter(|loss| loss.count > 0).collect()
    }
}

fn role<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(role.name())
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
