//! Inferscope: reads what inference servers do from outside, and says how long it took.
//!
//! [`core`] is the pipeline and is pure. [`kernel`] is the only module that knows aya. See ARCHITECTURE.md.

pub mod core;
pub mod engine;
pub mod event;
pub mod host;
pub mod issue;
pub mod request;
pub mod tape;
pub mod wire;
