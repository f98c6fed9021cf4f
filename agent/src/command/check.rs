//! `inferscope check`: what can be seen on this host, and why not the rest. Loads the programs, attaches nothing.

use super::unusable;
use crate::cli::Check;
use crate::config::Config;
use crate::engine::Role;
use crate::event::Tgid;
use crate::host::capabilities::{self, Finding, Verdict};
use crate::host::discover::{Change, Server};
use crate::kernel::load::{self, Loaded, Options};
use crate::kernel::plan;
use crate::live;
use crate::status::{self, HookState};
use serde::Serialize;
use std::process::ExitCode;
use std::time::Instant;

/// Everything that `check` found.
#[derive(Debug, Serialize)]
struct Report {
    host: Vec<Finding>,
    programs: Vec<Loaded>,
    servers: Vec<Seen>,
}

/// A server's process and what would be hooked in it.
#[derive(Debug, Serialize)]
struct Seen {
    pid: u32,
    engine: &'static str,
    service: String,
    role: &'static str,
    evidence: String,
    hooks: Vec<status::Hook>,
    problems: Vec<String>,
}

/// Prints the report. 0: all that was found can be seen; 1: something cannot; 2: the configuration is wrong.
pub(super) fn check(arguments: &Check) -> ExitCode {
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    let report = report(&config);
    let fatal = report.host.iter().any(|finding| finding.verdict == Verdict::Fatal);
    let unseen = report.servers.iter().any(|server| !server.problems.is_empty());
    if arguments.json {
        match serde_json::to_string_pretty(&report) {
            Ok(text) => println!("{text}"),
            Err(error) => return super::failed(&error),
        }
    } else if arguments.programs {
        print_programs(&report);
    } else {
        print(&report);
    }
    if fatal || unseen { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(config: &Config) -> Report {
    let mut host = capabilities::kernel();
    host.extend(capabilities::capabilities());
    let loaded = load::load(Options { ring_bytes: config.capture.ring_bytes, verbose: false });
    let programs = match loaded.and_then(|mut kernel| kernel.probes.load_all()) {
        Ok(mut programs) => {
            programs.sort_by(|a, b| a.name.cmp(&b.name));
            let detail = format!("{} programs loaded: ring buffer and attach cookies work", programs.len());
            host.push(Finding::new("BPF", Verdict::Ok, detail));
            programs
        }
        Err(error) => {
            host.push(Finding::new("BPF", Verdict::Fatal, error.to_string()));
            Vec::new()
        }
    };
    host.push(capabilities::nvml());
    let found = live::discovery(config).turn(Instant::now());
    let servers = found.into_iter().filter_map(|change| match change {
        Change::Started(server) => Some(seen(&server)),
        Change::Ended(_) => None,
    });
    Report { host, programs, servers: servers.collect() }
}

fn seen(server: &Server) -> Seen {
    let tgid = server.process.tgid;
    let (hooks, problems) = match server.matched.role {
        Role::Frontend | Role::Engine => planned(tgid, server),
        Role::Worker => (Vec::new(), Vec::new()),
    };
    Seen {
        pid: tgid.0,
        engine: server.engine.name(),
        service: server.service.clone(),
        role: server.matched.role.name(),
        evidence: server.matched.evidence.clone(),
        hooks,
        problems,
    }
}

fn planned(tgid: Tgid, server: &Server) -> (Vec<status::Hook>, Vec<String>) {
    let mut hooks = Vec::new();
    let mut problems = Vec::new();
    let files = match plan::mapped_files(tgid) {
        Ok(files) => files,
        Err(error) => return (hooks, vec![format!("cannot read /proc/{}/maps: {error}", tgid.0)]),
    };
    for target in server.engine.hooks(&server.process) {
        for file in plan::candidates(tgid, &files, target.library) {
            match plan::plan(&plan::open_path(tgid, &file), target) {
                Ok(planned) => {
                    hooks.extend(planned.iter().map(|planned| planned.status(tgid, &file, HookState::Planned)));
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
    }
    if hooks.is_empty() && problems.is_empty() {
        problems.push("it maps no C library: the syscall tracepoints will be used, which need tracefs".to_owned());
    }
    (hooks, problems)
}

fn print(report: &Report) {
    println!("This host");
    for Finding { what, verdict, detail } in &report.host {
        let mark = match verdict {
            Verdict::Ok => "ok     ",
            Verdict::Missing => "missing",
            Verdict::Fatal => "FATAL  ",
        };
        println!("  {mark}  {what:<20} {detail}");
    }
    println!("\nInference servers");
    if report.servers.is_empty() {
        println!("  none found. A server that no engine recognises can be named in the configuration (`servers:`).");
    }
    for server in &report.servers {
        println!("  {} pid {} ({}, {}): {}", server.service, server.pid, server.engine, server.role, server.evidence);
        for problem in &server.problems {
            println!("    problem: {problem}");
        }
        for hook in &server.hooks {
            let library = hook.library.rsplit('/').next().unwrap_or_default();
            println!(
                "    {:<13} {library:<28} {:<15} {} a call; {}",
                hook.symbol, hook.placement, hook.price, hook.reason
            );
        }
    }
}

fn print_programs(report: &Report) {
    for program in &report.programs {
        let count = program.verified_instructions.map_or("not told by this kernel".to_owned(), |n| n.to_string());
        println!("{:<16} {count:>10} instructions verified", program.name);
    }
    for finding in report.host.iter().filter(|finding| finding.verdict == Verdict::Fatal) {
        println!("{}", finding.detail);
    }
}
