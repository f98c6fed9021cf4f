//! `cargo xtask`: everything a developer or CI does with Inferscope, as typed commands.
//!
//! One file for each command. It depends on no other crate of the workspace.

use clap::{Parser, Subcommand};
use std::process::ExitCode;

mod bench;
#[allow(dead_code, reason = "agent/build.rs uses the rest")]
mod bpf_toolchain;
mod build;
mod cache;
mod ci;
mod dashboards;
mod demo;
mod dist;
mod get;
mod image;
mod interrupt;
mod privilege;
mod process_group;
mod setup;
mod step;
mod test;
mod tidy;
mod workspace;

/// Everything a developer or CI does, in one place.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or install the BPF toolchain, and on request the inference servers that the tests use
    Setup(setup::Arguments),
    /// Build the BPF programs and the agent
    Build(build::Arguments),
    /// Show live metrics of a small server under load, measured by the real probes
    Demo(demo::Arguments),
    /// Run the unit, replay and live tests
    Test(test::Arguments),
    /// Check file sizes, and that links and paths in documents lead somewhere (the first step of ci)
    Tidy,
    /// Run everything that CI runs
    Ci,
    /// Make the container image, with its software bill of materials
    Image(image::Arguments),
    /// Write Grafana's dashboards and their documentation from their descriptions
    Dashboards,
    /// Make a release: tarball, deb, rpm, checksums
    Dist(dist::Arguments),
    /// Run the benchmarks
    Bench(bench::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup(arguments) => setup::run(&arguments),
        Command::Build(arguments) => build::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Tidy => tidy::check(),
        Command::Image(arguments) => image::run(&arguments),
        Command::Ci => ci::run(),
        Command::Dashboards => dashboards::run(),
        Command::Dist(arguments) => dist::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
