//! The configuration: every setting, with its default, its comment and its rule, declared once.
//!
//! config/inferscope.yaml is generated from the declarations below (a test proves that both agree), so the doc comment
//! of a setting is written for operators. Reading collects all problems; nothing here starts, opens or prints anything
//! beyond the file that it reads.

mod choice;
mod document;
mod gpu;
mod otlp;
mod pods;
pub mod problem;
#[cfg(test)]
mod reference;
mod rule;
mod setting;
mod suggest;
mod target;
#[cfg(test)]
mod tests;
mod trust;
mod yaml;

pub use self::choice::{
    Aggregation, Certificate, Compression, EngineMessages, Http, PodSource, Protocol, Source, Temporality,
};
pub use self::gpu::Gpu;
pub use self::otlp::{Destination, Destinations, Otlp, Spans, Texts, Tls};
pub use self::pods::{LabelKeys, Metadata, Pods};
pub use self::problem::Invalid;
pub use self::target::{EngineSettings, Engines, Labels, ServerRule, Servers, Workflows};

use self::problem::{Path, Problem, Problems};
use self::rule::{bucket_bounds, log_filter, ring_bytes, within};
pub use self::rule::{endpoint, node_name};
use self::setting::{Setting, settings};
use std::net::{Ipv4Addr, SocketAddr};
use std::{fs, io};

/// Read where no `--config` is given, if it is there.
pub const DEFAULT_PATH: &str = "/etc/inferscope/inferscope.yaml";

const PREAMBLE: &str = "\
# The configuration of Inferscope. Every setting is shown with its default; a file needs only what differs.
# The path is --config FILE, else /etc/inferscope/inferscope.yaml. `inferscope config` prints what is in effect.
";

settings! {
    /// The whole configuration.
    Config {
        /// Address of /metrics, /healthz and /status. They show model and process names to whoever can connect: keep
        /// the loopback address, or see that only the scraper reaches it.
        listen: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9464));
        /// What to log: error, warn, info, debug or trace, also per part: "info,bpf=debug" shows what the programs in
        /// the kernel say.
        log: String = "info".to_owned(), must |text: &String| log_filter(text);
        /// Labels put on every metric, for example {provider: acme, cluster: eu-1, region: eu-west, environment: prod}.
        labels: Labels = Labels::default();
        /// Which kinds of inference servers to look for.
        engines: Engines = Engines::default();
        /// Servers named by hand, for processes that no engine recognises or to rename those that one does. Each entry
        /// is {engine: vllm, argv: "text that the command line contains", service: "a name"}. Without a service the
        /// name is derived. Where such a process cannot be attached to, `inferscope check` exits with 1.
        servers: Servers = Servers::default();
        /// Names for workflows (ComfyUI), which else are labelled by a hash of their class types: {845dc029c8b5: portrait}.
        workflows: Workflows = Workflows::default();
        /// How calls of the servers are captured.
        capture: Capture = Capture::default();
        /// How GPUs are read, and what of them is exported.
        gpu: Gpu = Gpu::default();
        /// How servers and GPUs are told which pods they belong to.
        pods: Pods = Pods::default();
        /// Read the servers' own metrics every 15 s over plain HTTP, where they can be reached from here, and export how far
        /// the agent's are from them (inferscope_crosscheck_*). No metric of the agent is ever taken from there.
        cross_check: bool = false;
        /// Where metrics and spans are sent over OTLP.
        otlp: Otlp = Otlp::default();
        /// Bounds on what the agent holds. What lies beyond is counted, never silently dropped.
        limits: Limits = Limits::default();
        /// Upper bounds of histogram buckets, in seconds, ascending. Changing them breaks quantiles over the change.
        buckets: Buckets = Buckets::default();
    }
}

settings! {
    /// How calls are captured.
    Capture {
        /// Size of the buffer between the kernel and the agent: a power of two from 1048576 (1 MiB) to 1073741824.
        /// Enlarge it when inferscope_events_lost_total{reason="ring_full"} grows.
        ring_bytes: u32 = 8 << 20, must ring_bytes;
        /// The agent drains the buffer at least so often, from 1 to 1000. Times are taken in the kernel: a longer pause
        /// makes metrics later, never wrong.
        poll_milliseconds: u32 = 10, must within(1..=1000);
        /// New processes are noticed at once; so often, from 1 to 3600, the agent also looks for what it missed.
        rescan_seconds: u32 = 30, must within(1..=3600);
        /// Where calls are seen: uprobes (only the servers pay), syscalls (tracepoints, for static and musl binaries),
        /// or auto: uprobes where they can be placed, else syscalls.
        source: Source = Source::Auto;
        /// Where the messages between a server's front end and its engines are read (vLLM: queue, prefill and decode times,
        /// batches, KV cache, every token): engine (the engine's own end, which sees all front ends and offline
        /// generation), frontend, wire (the bytes on the front end's sockets, where it has no message library that can
        /// be probed), off, or auto: the engine's where it runs on this host, else the front end's, else the wire.
        engine_messages: EngineMessages = EngineMessages::Auto;
        /// How much of streamed answers is read: full (every event), or edges (up to the first content event, then only that
        /// bytes are sent; the engine's messages tell the rest). Cheaper, and where the engine's messages are not seen
        /// the same as full. Answers read so have no content events in the request log.
        http: Http = Http::Full;
    }
}

settings! {
    /// Bounds on what the agent holds.
    Limits {
        /// Open connections, from 16 to 1048576; beyond it the one idle longest is forgotten.
        connections: u32 = 16_384, must within(16..=1 << 20);
        /// Models per engine that have series of their own, from 1 to 10000; further ones count as model="other".
        models: u32 = 100, must within(1..=10_000);
        /// Workflows per engine that have series of their own, from 1 to 10000, and as many class types of nodes, samplers and
        /// types of errors; further ones count as "other".
        names: u32 = 200, must within(1..=10_000);
    }
}

settings! {
    /// Upper bounds of histogram buckets.
    Buckets {
        /// llm_request_duration_seconds
        request_duration_seconds: Vec<f64> = vec![
            0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// llm_time_to_first_token_seconds
        time_to_first_token_seconds: Vec<f64> = vec![
            0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
            160.0,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// llm_inter_token_latency_seconds and llm_time_per_output_token_seconds
        inter_token_latency_seconds: Vec<f64> = vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// triton_request_duration_seconds, triton_queue_duration_seconds, triton_compute_duration_seconds and
        /// triton_execution_duration_seconds
        inference_duration_seconds: Vec<f64> = vec![
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// comfyui_generation_duration_seconds, comfyui_queue_duration_seconds and comfyui_time_to_first_step_seconds
        generation_duration_seconds: Vec<f64> = vec![
            0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// comfyui_step_duration_seconds
        step_duration_seconds: Vec<f64> = vec![
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// comfyui_node_duration_seconds and comfyui_model_load_duration_seconds
        node_duration_seconds: Vec<f64> = vec![
            0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
        ], must |bounds: &Vec<f64>| bucket_bounds(bounds);
        /// llm_batch_size, in sequences, and triton_batch_size, in requests
        batch_size: Vec<f64> = vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0],
            must |bounds: &Vec<f64>| bucket_bounds(bounds);
    }
}

impl Config {
    /// The configuration of `file`, else of [`DEFAULT_PATH`] if it is there, else the defaults.
    ///
    /// # Errors
    /// With every problem at once, when the file cannot be read or used.
    pub fn load(file: Option<&std::path::Path>) -> Result<Config, Invalid> {
        let path = file.unwrap_or(std::path::Path::new(DEFAULT_PATH));
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Config::parse(&name, &text),
            Err(ReadError::Io(error)) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Config::default())
            }
            Err(error) => Err(Invalid {
                file: name,
                problems: vec![Problem { line: None, path: Path::default(), message: error.to_string() }],
            }),
        }
    }

    /// The configuration that `text` says; `file` is its name in problems.
    ///
    /// # Errors
    /// With every problem at once.
    pub fn parse(file: &str, text: &str) -> Result<Config, Invalid> {
        let invalid = |problems| Invalid { file: file.to_owned(), problems };
        let root = Path::default();
        let value = document::parse(text)
            .map_err(|(line, message)| invalid(vec![Problem { line, path: root.clone(), message }]))?;
        if value.is_null() {
            return Ok(Config::default());
        }
        let mut problems = Problems::default();
        let config = Config::read(&value, &root, &mut problems);
        let mut problems = problems.0;
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => {
                for problem in &mut problems {
                    problem.line = document::line(text, &problem.path);
                }
                problems.sort_by_key(|problem| problem.line);
                Err(invalid(problems))
            }
        }
    }

    /// The configuration as a file with comments. Reading it gives the same configuration.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        format!("{PREAMBLE}\n{}", self.write().document())
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is not used, because {0}")]
    Untrusted(String),
}

/// Judges the very file that is then read.
fn read(path: &std::path::Path) -> Result<String, ReadError> {
    let mut file = fs::File::open(path)?;
    trust::judge(&file.metadata()?).map_err(ReadError::Untrusted)?;
    Ok(io::read_to_string(&mut file)?)
}

/// Whether `filter` can be a value of `log`; for the command line, which can override it.
///
/// # Errors
/// With a sentence that says what a filter looks like.
pub fn parse_log_filter(filter: &str) -> Result<String, String> {
    log_filter(filter).map(|()| filter.to_owned())
}
