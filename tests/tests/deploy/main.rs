//! What deploy/ ships, tried with the programs that it is made for.
//!
//! `cargo xtask test --deploy` installs those and runs these tests as root, one after the other.

mod boxes;
mod dashboards;
mod known;
mod promql;
mod rules;
mod tool;
