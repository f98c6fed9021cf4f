//! What deploy/ ships, tried with the programs that it is made for.
//!
//! `cargo xtask test --deploy` installs those and runs these tests as root, one after the other.

mod boxes;
mod bundle;
mod chart;
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
mod site;
mod tool;
mod unit;
