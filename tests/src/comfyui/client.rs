//! tests/engines/comfyui_load.py and comfyui_browser.py from Rust: what they are asked to do, and what they saw.

use super::ComfyServer;
use crate::vllm::{Transport, engines};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// How the client watches its prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A WebSocket without extensions.
    Socket,
    /// A WebSocket with permessage-deflate, as browsers negotiate it.
    Deflate,
    /// No WebSocket: it asks for the history.
    Poll,
}

/// One run of the client.
#[derive(Clone, Debug)]
pub struct Load {
    script: &'static str,
    arguments: Vec<String>,
}

/// A prompt as its client saw it. Times are CLOCK_MONOTONIC.
#[derive(Clone, Debug, Deserialize)]
pub struct Prompt {
    /// ComfyUI's id; absent where it refused the graph.
    pub id: Option<String>,
    /// Which of the client's workflows.
    pub workflow: String,
    /// The HTTP code of the answer.
    pub status: u16,
    /// Nodes of its graph.
    #[serde(default)]
    pub nodes: u64,
    /// Before the request was sent.
    pub sent_ns: u64,
    /// When the answer was there.
    pub answered_ns: u64,
    /// Receipt of execution_start.
    pub started_ns: Option<u64>,
    /// Receipt of the message that tells of its end.
    pub ended_ns: Option<u64>,
    /// Receipt of each sampler step.
    #[serde(default)]
    pub steps_ns: Vec<u64>,
    /// How it ended, as messages told or because the client took it away ("deleted").
    pub outcome: Option<String>,
    /// The type of an exception, or of a refusal.
    pub error: Option<String>,
    /// ComfyUI's own account.
    pub own: Option<Own>,
}

/// What /history says of a prompt.
#[derive(Clone, Debug, Deserialize)]
pub struct Own {
    /// success, error, interrupted
    pub outcome: String,
    /// When it began, ms on the wall clock.
    pub start_ms: u64,
    /// When it ended.
    pub end_ms: u64,
    /// Nodes whose results were in the cache.
    pub cached: u64,
    /// Images that were made.
    pub images: u64,
    /// The type of the exception.
    pub error: Option<String>,
}

impl Mode {
    /// All three.
    pub const ALL: [Mode; 3] = [Mode::Socket, Mode::Deflate, Mode::Poll];

    /// As the client calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Socket => "ws",
            Mode::Deflate => "deflate",
            Mode::Poll => "poll",
        }
    }
}

impl Load {
    /// An action of the client, watched by a plain WebSocket.
    #[must_use]
    pub fn of(action: &str) -> Load {
        Load { script: "engines/comfyui_load.py", arguments: vec![action.to_owned()] }
    }

    /// Prompts from within ComfyUI's own page, in a browser.
    #[must_use]
    pub fn in_a_browser() -> Load {
        Load { script: "engines/comfyui_browser.py", arguments: Vec::new() }
    }

    /// Watched in another way.
    #[must_use]
    pub fn mode(self, mode: Mode) -> Load {
        self.with("--mode", mode.name())
    }

    /// One more option and its value.
    #[must_use]
    pub fn with(mut self, option: &str, value: impl ToString) -> Load {
        self.arguments.extend([option.to_owned(), value.to_string()]);
        self
    }

    /// Sends each prompt a second time.
    #[must_use]
    pub fn again(mut self) -> Load {
        self.arguments.push("--again".to_owned());
        self
    }
}

impl ComfyServer {
    /// Runs the client to its end.
    pub fn drive(&self, load: &Load) -> Result<Vec<Prompt>> {
        read(self.begin(load)?)
    }

    /// Starts the client. [`read`] waits for it.
    pub fn begin(&self, load: &Load) -> Result<Child> {
        let mut client = Command::new(engines().join("venv-comfy/bin/python"));
        client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(load.script));
        client.args(["--port", &self.address.port().to_string()]);
        if self.transport == Transport::Tls {
            client.arg("--tls");
        }
        client.args(&load.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        client.spawn().with_context(|| format!("{} does not start", load.script))
    }
}

/// What a client saw, when it has ended.
pub fn read(client: Child) -> Result<Vec<Prompt>> {
    let output = client.wait_with_output()?;
    ensure!(output.status.success(), "the client fails: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout)?;
    lines.lines().map(|line| serde_json::from_str(line).context("a line of the client")).collect()
}
