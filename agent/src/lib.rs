//! Inferscope: reads what inference servers do from outside, and says how long it took.
//!
//! [`core`] is the pipeline and is pure. [`kernel`] is the only module that knows aya. See ARCHITECTURE.md.

pub mod cli;
pub mod command;
pub mod config;
pub mod core;
pub mod correlate;
pub mod crosscheck;
#[cfg(test)]
mod documents;
pub mod engine;
pub mod event;
pub mod export;
pub mod host;
pub mod https;
pub mod issue;
pub mod job;
pub mod kernel;
pub mod live;
pub mod log;
pub mod metric;
pub mod pipeline;
pub mod request;
pub mod servers;
pub mod service;
pub mod status;
pub mod supervisor;
pub mod tape;
pub mod wire;
