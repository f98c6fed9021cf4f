//! Real programs in the real kernel against small servers of our own: what the agent says must equal what the servers'
//! clients saw.
//!
//! `cargo xtask test` runs these as root, one after the other. Nothing here judges a latency more finely than a busy
//! machine allows: that is done in docs/journal.

mod agent;
mod collector;
mod configuration;
mod embedded;
mod expect;
mod gpu;
mod life;
mod otlp;
mod pods;
mod privacy;
mod privilege;
mod requests;
mod supervisor;
mod transport;

use inferscope_tests::{client, server};
