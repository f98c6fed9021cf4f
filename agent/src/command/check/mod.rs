//! `inferscope check`: what can be seen on this host, and why not the rest. Loads the programs, and attaches one to this very
//! program for a moment; to no other.

mod cross;
mod gpu;
mod pods;
mod print;
mod privilege;
mod seen;
mod tap;
#[cfg(test)]
mod tests;

use self::seen::Seen;
use super::unusable;
use crate::cli::Check;
use crate::config::Config;
use crate::host::discover::{Change, Server};
use crate::host::findings::{self, Finding, Verdict};
use crate::host::privilege::Held;
use crate::host::privilege::give_up::Demand;
use crate::kernel::load::{self, Loaded, Options};
use crate::live;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

/// Everything that `check` found.
#[derive(Debug, Serialize)]
struct Report {
    host: Vec<Finding>,
    capabilities: Vec<privilege::Row>,
    programs: Vec<Loaded>,
    servers: Vec<Seen>,
}

/// Prints the report. 0: all that was found can be seen; 1: something cannot; 2: the configuration is wrong.
pub(super) fn check(arguments: &Check) -> ExitCode {
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    if arguments.engine_metrics {
        return cross::check(&config, &servers(&config), arguments.seconds);
    }
    let report = report(&config);
    let fatal = report.host.iter().any(|finding| finding.verdict == Verdict::Fatal);
    let unseen = report.servers.iter().any(|server| !server.problems.is_empty());
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return super::failed(&error),
        }
    } else if arguments.programs {
        print::programs(&report);
    } else {
        print::report(&report);
    }
    if fatal || unseen { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(config: &Config) -> Report {
    let mut host = findings::kernel();
    let mut demand = Demand::SysAdmin;
    let loaded = load::load(Options { ring_bytes: config.capture.ring_bytes, verbose: false });
    let programs = loaded.and_then(|mut kernel| {
        // First, because it knows best why nothing would work.
        let (finding, demanded) = privilege::uprobes(&mut kernel.probes);
        demand = demanded;
        host.push(finding);
        kernel.probes.load_all()
    });
    let programs = match programs {
        Ok(mut programs) => {
            programs.sort_by(|a, b| a.name.cmp(&b.name));
            let detail = format!("{} programs loaded: the ring buffer works", programs.len());
            host.push(Finding::new("BPF", Verdict::Ok, detail));
            programs
        }
        Err(error) => {
            host.push(Finding::new("BPF", Verdict::Fatal, error.to_string()));
            Vec::new()
        }
    };
    host.extend(gpu::findings(&config.gpu));
    host.extend(pods::findings(&config.pods));
    let capabilities = privilege::rows(Held::now(), demand);
    Report { host, capabilities, programs, servers: seen::seen(&servers(config), config.capture.engine_messages) }
}

/// The processes of servers that run now.
fn servers(config: &Config) -> Vec<Server> {
    let found = live::discovery(config).turn(Instant::now());
    let started = found.into_iter().filter_map(|change| match change {
        Change::Started(server) => Some(server),
        Change::Ended(_) => None,
    });
    started.collect()
}
