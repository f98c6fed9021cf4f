//! `inferscope check --engine-metrics`: the running agent's numbers beside the servers' own.

use crate::config::Config;
use crate::crosscheck::Table;
use crate::crosscheck::reading::{self, Reading, Sides};
use crate::host::discover::Server;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Prints how far the agent and each server differ: since both began, or within so many seconds from now. 0: all servers
/// were compared; 1: one of them, or the agent, does not answer.
pub(super) fn check(config: &Config, servers: &[Server], seconds: Option<u64>) -> ExitCode {
    let (places, mut problems) = reading::places(servers.iter());
    if places.is_empty() && problems.is_empty() {
        println!("No server was found that has metrics of its own.");
        return ExitCode::SUCCESS;
    }
    let before = match seconds {
        Some(seconds) => {
            let before = reading::read(config.listen, &places);
            thread::sleep(Duration::from_secs(seconds));
            before
        }
        None => Reading::default(),
    };
    let now = reading::read(config.listen, &places);
    let nothing = Sides::default();
    for (subject, sides) in &now.sides {
        let rows = sides.since(before.sides.get(subject).unwrap_or(&nothing)).rows();
        println!("{}, model {}", subject.service, subject.model);
        if rows.is_empty() {
            println!("  the agent has no numbers of it");
        } else {
            println!("{}", Table(&rows));
        }
    }
    problems.extend(now.problems);
    for problem in &problems {
        println!("not compared: {problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
