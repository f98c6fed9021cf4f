//! What deploy/ ships, tried with the programs that it is made for.
//!
//! `cargo xtask test --deploy` installs those and runs these tests as root, one after the other.

mod boxes;
mod bundle;
mod chart;
#[path = "../live/client.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod client;
mod dashboards;
mod host;
mod image;
mod joins;
mod known;
mod lifecycle;
mod objects;
mod package;
mod pod;
mod promql;
mod rights;
mod rules;
mod script;
#[path = "../live/server.rs"]
#[allow(dead_code, reason = "the live tests use the rest")]
mod server;
mod site;
mod tool;
mod unit;
