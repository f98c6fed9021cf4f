//! Engines: one folder for each kind of inference server, one line in [`ENGINES`].
//!
//! An engine says how its processes are recognised, which functions to hook, and what its messages mean for a request.
//! It never touches the kernel, a clock, a metric or a label. Vocabularies that several servers speak are dialects
//! ([`openai`], [`kserve`]).

use crate::host::process::Process;
use crate::issue::Issue;
use crate::wire::{Message, RequestHead, Side};
use inferscope_ebpf::Hook;

pub mod comfyui;
pub mod inference;
pub mod job;
pub mod kserve;
pub mod openai;
pub mod report;
pub mod triton;
pub mod vllm;

/// Every engine that this build knows, in the order in which they are asked.
pub const ENGINES: &[&dyn Engine] = &[&vllm::Vllm, &triton::Triton, &comfyui::Comfyui];

/// The engine of a name (label value and configuration key).
#[must_use]
pub fn by_name(name: &str) -> Option<&'static dyn Engine> {
    ENGINES.iter().copied().find(|engine| engine.name() == name)
}

/// One kind of inference server.
pub trait Engine: Sync {
    /// Label value and configuration key.
    fn name(&self) -> &'static str;

    /// Whether `process` belongs to such a server, and how that is known. Pure.
    fn matches(&self, process: &Process) -> Option<Match>;

    /// What to hook in `process`, which [`Engine::matches`] said to be a front end.
    fn hooks(&self, process: &Process) -> &'static [Target];

    /// Names of the Python distributions that carry it, the first that is installed tells the version.
    fn packages(&self) -> &'static [&'static str] {
        &[]
    }

    /// Opens an exchange for a request, or `None` for requests that are not inference (health, metrics, model lists).
    fn open(&self, request: &RequestHead) -> Option<Box<dyn Exchange>>;

    /// A reader of what the server's processes tell each other, one for each message socket; `None` where this kind of
    /// server has no such messages.
    fn messages(&self) -> Option<Box<dyn report::Messages>> {
        None
    }

    /// A reader of the calls of the server's library, one for each process; `None` where none are hooked.
    fn calls(&self) -> Option<Box<dyn inference::Calls>> {
        None
    }

    /// A reader of what a server of jobs says outside of HTTP exchanges, one for each server; `None` where this kind of
    /// server has no jobs.
    fn jobs(&self) -> Option<Box<dyn job::Reader>> {
        None
    }

    /// Whether a sequence (its id begins with the answer's, behind a choice's number and `_`) is of the request whose
    /// answer has the id `answer`.
    fn is_of(&self, _sequence: &str, _answer: &str) -> bool {
        false
    }
}

/// That a process belongs to a server, with the evidence that `check` and `/status` show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// What it does there.
    pub role: Role,
    /// One sentence, for people: "argv contains `vllm serve`".
    pub evidence: String,
    /// A name for the server when nothing better is configured, for example "vllm:8000".
    pub service: Option<String>,
    /// The model that the server was started for, where its command line says so.
    pub model: Option<String>,
    /// The port that clients reach the server at, where it has one and its command line says it or leaves the default.
    pub port: Option<u16>,
}

/// What a process does in its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Talks to clients: its sockets are hooked.
    Frontend,
    /// Schedules and generates: its message queue is hooked.
    Engine,
    /// Computes: part of the server, nothing hooked.
    Worker,
}

impl Role {
    /// In `/status` and `check`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Frontend => "frontend",
            Role::Engine => "engine",
            Role::Worker => "worker",
        }
    }
}

/// Functions of one library to hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the functions live.
    pub library: Library,
    /// The functions.
    pub hooks: &'static [Hook],
}

/// Which mapped file, by pattern: containers and wheels rename libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// The C library (`libc.so.6`, `libc-2.31.so`, `ld-musl-*.so.1`); where a process maps none, the syscall tracepoints.
    Libc,
    /// Any mapped `libssl*.so*`, and the executable itself where OpenSSL is linked into it with symbols.
    OpenSsl,
    /// Any mapped `libzmq*.so*`.
    ZeroMq,
    /// Any mapped `libtritonserver*.so*`.
    Triton,
    /// Any mapped `libtriton_*.so*`: each carries one backend. They come and go with the models that need them.
    TritonBackend,
}

impl Library {
    /// Whether a server maps such a library while it serves, and has work for it at once: then new threads and children are
    /// a reason to look for it.
    #[must_use]
    pub const fn comes_and_goes(self) -> bool {
        matches!(self, Library::TritonBackend)
    }
}

/// Socket and TLS hooks that every HTTP server needs.
pub const HTTP_SERVER: &[Target] = &[SOCKETS, TLS];

/// The C library's socket functions.
pub const SOCKETS: Target = Target {
    library: Library::Libc,
    hooks: &[
        Hook::Read,
        Hook::Readv,
        Hook::Recv,
        Hook::Recvfrom,
        Hook::Recvmsg,
        Hook::Write,
        Hook::Writev,
        Hook::Send,
        Hook::Sendto,
        Hook::Sendmsg,
        Hook::Sendfile,
        Hook::Accept,
        Hook::Accept4,
        Hook::Close,
    ],
};

/// OpenSSL's clear-text side.
pub const TLS: Target = Target {
    library: Library::OpenSsl,
    hooks: &[Hook::SslRead, Hook::SslReadEx, Hook::SslWrite, Hook::SslWriteEx, Hook::SslFree],
};

/// ZeroMQ's message calls.
pub const MESSAGES: Target = Target { library: Library::ZeroMq, hooks: &[Hook::ZmqMsgSend, Hook::ZmqMsgRecv] };

/// Triton's C API: what becomes of a request, whichever way it came.
pub const TRITON_SERVER: Target = Target {
    library: Library::Triton,
    hooks: &[
        Hook::TritonRequestNew,
        Hook::TritonRequestSetId,
        Hook::TritonInferAsync,
        Hook::TritonRequestCancel,
        Hook::TritonRequestDelete,
        Hook::TritonFactoryNew,
        Hook::TritonResponseNew,
        Hook::TritonResponseNewFromFactory,
        Hook::TritonResponseSend,
        Hook::TritonFactorySendFlags,
        Hook::TritonReportStatistics,
    ],
};

/// What Triton calls in its backends.
pub const TRITON_BACKEND: Target =
    Target { library: Library::TritonBackend, hooks: &[Hook::TritonExecute, Hook::TritonInstanceFinalize] };

/// What one message means for the request. A closed vocabulary: an engine that needs more grows it for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing about time.
    Ignore,
    /// The server has begun to answer, without output yet (a role announcement, a `response.created`).
    Announce,
    /// Output for these choices: one content event.
    Output(Choices),
    /// The server said that nothing more follows (`[DONE]`, `message_stop`). The transport may go on: a client that
    /// leaves after this was answered. A finish reason is not enough, it ends one choice of several.
    Finish,
}

/// A set of choice indexes 0 to 63 (`n` parallel answers of one request).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choices(u64);

impl Choices {
    /// The set of one index.
    #[must_use]
    pub fn of(index: u64) -> Choices {
        let mut choices = Choices::default();
        choices.insert(index);
        choices
    }

    /// Adds an index; those above 63 count as 63.
    pub fn insert(&mut self, index: u64) {
        self.0 |= 1 << index.min(63);
    }

    /// Whether no choice is in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many indexes are in the set.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Choices) -> Choices {
        Choices(self.0 | other.0)
    }

    /// The indexes, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |index| self.0 >> index & 1 == 1)
    }
}

/// One request and its answer, read by the engine that serves it. Holds no prompt and no answer text.
pub trait Exchange: Send {
    /// Reads one message.
    fn interpret(&mut self, message: &Message<'_>, issues: &mut Vec<Issue>) -> Step;

    /// What is known by now.
    fn facts(&self) -> &Facts;

    /// How many requests its request's body holds.
    fn requests(&self) -> Requests {
        Requests::One
    }

    /// Whether it is inference by itself, or about jobs, which are worked on outside of exchanges.
    fn purpose(&self) -> Purpose {
        Purpose::Inference
    }

    /// Of an exchange about jobs that is over: what it said of them.
    fn told(&mut self) -> job::Told {
        job::Told::default()
    }

    /// Whether the body of this side is of any use from here on. What nobody reads need not be copied.
    fn reads(&self, _side: Side) -> bool {
        true
    }
}

/// How many requests the body of one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requests {
    /// It is the request.
    One,
    /// Each message is one, and answers come in any order.
    Many,
}

/// What an exchange is to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A request whose answer is the work: it ends as a record.
    Inference,
    /// A request about jobs: see [`job`].
    Jobs,
}

/// What an exchange has said of itself, text excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What was asked for.
    pub operation: Operation,
    /// The response's model, else the request's.
    pub model: Option<String>,
    /// The response's id (`cmpl-…`).
    pub id: Option<String>,
    /// Token counts that the server stated. Absent is not zero.
    pub usage: Usage,
    /// `stop`, `length`, `tool_calls`, … of the last choice that finished.
    pub finish_reason: Option<String>,
    /// The server reported an error inside a stream whose status was already 200.
    pub stream_error: bool,
    /// It asks for an inference that somebody else tells of.
    pub inference: bool,
}

/// Token counts from the server's `usage`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens.
    pub prompt: Option<u64>,
    /// Of these, tokens that came from the prefix cache.
    pub cached: Option<u64>,
    /// Generated tokens.
    pub completion: Option<u64>,
}

/// What was asked for: label value `operation` (OpenTelemetry's gen_ai.operation.name where it has one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Operation {
    #[default]
    Other,
    TextCompletion,
    Chat,
    /// By a program in its own process, not over HTTP.
    Generate,
    Embeddings,
    Score,
    Rerank,
    Pooling,
    Transcription,
    Speech,
}

impl Operation {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Operation::Other => "other",
            Operation::TextCompletion => "text_completion",
            Operation::Chat => "chat",
            Operation::Generate => "generate_content",
            Operation::Embeddings => "embeddings",
            Operation::Score => "score",
            Operation::Rerank => "rerank",
            Operation::Pooling => "pooling",
            Operation::Transcription => "transcription",
            Operation::Speech => "speech",
        }
    }

    /// Whether answers are generated token by token, so that TTFT and ITL mean something.
    #[must_use]
    pub const fn generates(self) -> bool {
        matches!(self, Operation::TextCompletion | Operation::Chat | Operation::Generate)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;

    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

    #[test]
    fn every_engine_is_documented() {
        let document = fs::read_to_string(format!("{ROOT}/docs/engines.md")).unwrap();
        let sections: Vec<_> = document.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let engines: Vec<_> = ENGINES.iter().map(|engine| engine.name()).collect();
        assert_eq!(sections, engines, "docs/engines.md has one section for each engine, in their order");
    }

    #[test]
    fn every_engine_has_a_tape() {
        let tapes = fs::read_dir(format!("{ROOT}/tests/replay")).into_iter().flatten();
        let tapes: Vec<_> = tapes.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        for engine in ENGINES.iter().map(|engine| engine.name()) {
            let is_its = |tape: &&String| tape.starts_with(&format!("{engine}-")) && tape.ends_with(".tape");
            assert!(tapes.iter().any(|tape| is_its(&tape)), "record one: tests/replay/{engine}-*.tape");
        }
    }
}
