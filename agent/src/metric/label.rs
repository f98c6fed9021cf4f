//! The label sets: wide for counters, narrow for histograms. No label is ever a pid or text of a prompt.

use crate::service::Service;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::fmt;
use std::sync::Arc;

/// Bytes of a label value; what is longer is cut.
const LABEL_BYTES: usize = 128;

/// What every metric about a server carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    pub engine: &'static str,
    pub model: Arc<str>,
    pub service: Service,
    /// The device or MIG instance that it runs on, where it is one only.
    pub gpu: Option<Arc<str>>,
}

impl EncodeLabelSet for Service {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("service", &*self.name).encode(encoder.encode_label())?;
        // What runs in no container does not get empty labels for it.
        let mut labels = self.labels();
        labels.try_for_each(|(name, value)| (name, &**value).encode(encoder.encode_label()))
    }
}

impl EncodeLabelSet for Server {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let Server { engine, model, service, gpu } = self;
        ("engine", *engine).encode(encoder.encode_label())?;
        ("model", &**model).encode(encoder.encode_label())?;
        service.encode(encoder)?;
        // Most servers run on several devices or on none, and do not get an empty label for it.
        let Some(gpu) = gpu else { return Ok(()) };
        ("gpu", &**gpu).encode(encoder.encode_label())
    }
}

/// Requests: the widest set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Outcome {
    #[prometheus(flatten)]
    pub call: Call,
    pub status: &'static str,
    /// Absent where the response's head was not seen.
    pub code: Option<u16>,
}

/// Latencies of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Call {
    #[prometheus(flatten)]
    pub server: Server,
    pub operation: &'static str,
    pub stream: bool,
}

/// What can be learned in more than one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Sourced {
    #[prometheus(flatten)]
    pub server: Server,
    pub source: &'static str,
}

/// A scheduler of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct OfScheduler {
    #[prometheus(flatten)]
    pub server: Server,
    pub engine_index: u32,
}

/// What is under way: as a scheduler says, or as connections show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct StandingOf {
    #[prometheus(flatten)]
    pub server: Server,
    pub source: &'static str,
    /// Absent where no scheduler said it.
    pub engine_index: Option<u32>,
}

impl StandingOf {
    /// As a scheduler says.
    pub fn engine(scheduler: &OfScheduler) -> StandingOf {
        let OfScheduler { server, engine_index } = scheduler.clone();
        StandingOf { server, source: "engine", engine_index: Some(engine_index) }
    }
}

/// A model as requests ask for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct OfModel {
    #[prometheus(flatten)]
    pub server: Server,
    /// Absent where the request left it to the server.
    pub version: Option<u64>,
}

/// Inferences: the widest set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Answered {
    #[prometheus(flatten)]
    pub model: OfModel,
    pub status: &'static str,
    /// Absent where nothing failed.
    pub reason: Option<&'static str>,
    /// Absent where it may have come by several ways.
    pub protocol: Option<&'static str>,
}

/// A stage of a front end's work on the requests for a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Fronted {
    #[prometheus(flatten)]
    pub model: OfModel,
    pub protocol: &'static str,
    pub stage: &'static str,
}

/// How a server refuses requests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Refused {
    pub engine: &'static str,
    #[prometheus(flatten)]
    pub service: Service,
    pub protocol: &'static str,
    pub code: u32,
}

impl Refused {
    /// Who refuses, of whichever model.
    pub fn server(&self) -> Server {
        Server { engine: self.engine, model: Arc::from(""), service: self.service.clone(), gpu: None }
    }
}

/// A stage of executions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Staged {
    #[prometheus(flatten)]
    pub model: OfModel,
    pub stage: &'static str,
}

/// An instance of a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct OfInstance {
    #[prometheus(flatten)]
    pub server: Server,
    pub instance: u32,
}

/// A quantity that a server states too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct OfQuantity {
    #[prometheus(flatten)]
    pub server: Server,
    pub quantity: &'static str,
}

/// By how it came out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    pub outcome: &'static str,
}

/// One attempt to send something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Export {
    pub exporter: &'static str,
    /// Host and port of a collector.
    pub destination: Arc<str>,
    pub outcome: &'static str,
}

/// Spans, by what became of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Shipment {
    pub destination: Arc<str>,
    pub fate: &'static str,
}

/// `inferscope_build_info`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Build {
    pub version: &'static str,
}

/// By hook.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByHook {
    pub hook: &'static str,
}

/// Losses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Lost {
    pub hook: &'static str,
    pub reason: &'static str,
}

/// By issue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByIssue {
    pub issue: &'static str,
}

/// Requests seen in part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Incomplete {
    pub engine: &'static str,
    pub quality: &'static str,
}

/// By program in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByProgram {
    pub program: String,
}

/// By engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByEngine {
    pub engine: String,
}

/// Processes that cannot be attached to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Unsupported {
    pub engine: String,
    pub reason: String,
}

/// By metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByFamily {
    pub family: &'static str,
}

/// For metrics of which there is one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Alone {}

/// Metrics that end with their server.
pub trait OfServer {
    /// The server's labels.
    fn server(&self) -> &Server;
}

impl OfServer for Server {
    fn server(&self) -> &Server {
        self
    }
}

impl OfServer for Outcome {
    fn server(&self) -> &Server {
        &self.call.server
    }
}

impl OfServer for Call {
    fn server(&self) -> &Server {
        &self.server
    }
}

impl OfServer for OfScheduler {
    fn server(&self) -> &Server {
        &self.server
    }
}

impl OfServer for StandingOf {
    fn server(&self) -> &Server {
        &self.server
    }
}

impl OfServer for OfModel {
    fn server(&self) -> &Server {
        &self.server
    }
}

impl OfServer for Answered {
    fn server(&self) -> &Server {
        &self.model.server
    }
}

impl OfServer for Fronted {
    fn server(&self) -> &Server {
        &self.model.server
    }
}

impl OfServer for Staged {
    fn server(&self) -> &Server {
        &self.model.server
    }
}

impl OfServer for OfInstance {
    fn server(&self) -> &Server {
        &self.server
    }
}

impl OfServer for Sourced {
    fn server(&self) -> &Server {
        &self.server
    }
}

/// A server as its labels are. What runtimes and Kubernetes call containers needs no cleaning.
#[must_use]
pub fn labelled(service: &Service) -> Service {
    Service { name: sanitised(&service.name), workload: service.workload.clone() }
}

/// A label value of text that strangers chose: no control characters, not too long.
#[must_use]
pub fn sanitised(text: &str) -> Arc<str> {
    let clean = |c: char| if c.is_control() { '_' } else { c };
    let mut value = String::with_capacity(text.len().min(LABEL_BYTES));
    for c in text.chars().map(clean) {
        if value.len().saturating_add(c.len_utf8()) > LABEL_BYTES {
            break;
        }
        value.push(c);
    }
    value.into()
}
