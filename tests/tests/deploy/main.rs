//! What deploy/ ships, tried with the programs that it is made for.
//!
//! `cargo xtask test --deploy` installs those and runs these tests as root, one after the other.

mod bundle;
mod chart;
#[path = "../live/client.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod client;
mod image;
mod objects;
mod pod;
#[path = "../live/server.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod server;
mod dashboards;
mod known;
mod promql;
mod rules;
mod tool;
