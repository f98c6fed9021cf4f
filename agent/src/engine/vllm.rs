//! vLLM: the Python front end, the Rust front end (`vllm-rs`) and the engine processes behind them.

use super::{Engine, Exchange, HTTP_SERVER, Match, Target};
use crate::host::process::Process;
use crate::wire::RequestHead;

/// The vLLM engine.
pub struct Vllm;

impl Engine for Vllm {
    fn name(&self) -> &'static str {
        "vllm"
    }

    fn matches(&self, _process: &Process) -> Option<Match> {
        None
    }

    fn hooks(&self, _process: &Process) -> &'static [Target] {
        HTTP_SERVER
    }

    fn open(&self, _request: &RequestHead) -> Option<Box<dyn Exchange>> {
        None
    }
}
