//! What `/status` and `check --json` say of the agent: plain types, filled by whoever knows, serialised as they stand.

pub mod gpu;

use crate::engine::Role;
use crate::host::container::Enclosed;
use crate::service::{Pod, Service, Workload};
use inferscope_ebpf::Counts;
use serde::{Serialize, Serializer};
use std::fmt;

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
    /// What is told of pods.
    pub pods: Pods,
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
    /// The container that it runs in; absent on the host itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// How it is known to be such a process.
    pub evidence: String,
    /// Whether its calls are seen.
    #[serde(flatten)]
    pub attachment: Attachment,
}

/// Whether the kubelet tells which pods have which devices, and somebody what there is to know of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pods {
    /// `working`, `failing`, `absent` (no socket), or `off`.
    pub resources: &'static str,
    /// Why not; absent where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Devices that containers have.
    pub devices: usize,
    /// Labels and owners.
    pub metadata: Metadata,
}

/// Whether labels and owners of pods are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// `working`, `failing`, `pending` (nobody has answered yet), or `off`.
    pub state: &'static str,
    /// Why not; absent where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Pods that are known.
    pub pods: usize,
}

impl Default for Pods {
    fn default() -> Self {
        Pods { resources: "off", problem: None, devices: 0, metadata: Metadata::default() }
    }
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata { state: "off", problem: None, pods: 0 }
    }
}

/// The container that a process runs in, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name in its pod, or the one that docker or podman know; absent where none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its pod, as namespace/name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The pod's uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
}

impl Container {
    /// What is known of a server's.
    #[must_use]
    pub fn of(enclosed: &Enclosed, service: &Service) -> Option<Container> {
        let Enclosed { container, pod: uid } = enclosed;
        let id = container.as_ref()?;
        let (name, pod) = match service.workload.as_deref() {
            Some(Workload::Pod(Pod { namespace, name, container })) => {
                (Some(container.to_string()), Some(format!("{namespace}/{name}")))
            }
            Some(Workload::Container(name)) => (Some(name.to_string()).filter(|name| name != id.short()), None),
            None => (None, None),
        };
        Some(Container { id: id.to_string(), name, pod, pod_uid: uid.as_ref().map(ToString::to_string) })
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Container { id, name, pod, pod_uid } = self;
        write!(f, "container {}", name.as_deref().unwrap_or("without a known name"))?;
        match (pod, pod_uid) {
            (Some(pod), _) => write!(f, " of pod {pod}")?,
            (None, Some(uid)) => write!(f, " of pod {uid}, whose name is not known")?,
            (None, None) => {}
        }
        write!(f, " ({id})")
    }
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
            container: None,
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
