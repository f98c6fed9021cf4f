//! The report as text.

use super::{Finding, Report, Verdict};

/// All of it.
pub(super) fn report(report: &Report) {
    println!("This host");
    for Finding { what, verdict, detail } in &report.host {
        let mark = match verdict {
            Verdict::Ok => "ok     ",
            Verdict::Missing => "missing",
            Verdict::Fatal => "FATAL  ",
        };
        println!("  {mark}  {what:<20} {detail}");
    }
    println!("\nCapabilities");
    for row in &report.capabilities {
        println!("  {}", row.line());
    }
    println!("\nInference servers");
    if report.servers.is_empty() {
        println!("  none found. A server that no engine recognises can be named in the configuration (`servers:`).");
    }
    for server in &report.servers {
        println!("  {} pid {} ({}, {}): {}", server.service, server.pid, server.engine, server.role, server.evidence);
        if let Some(container) = &server.container {
            println!("    {container}");
        }
        if let Some(version) = &server.version {
            println!("    version {version}");
        }
        if let Some(messages) = &server.messages {
            println!("    {messages}");
        }
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

/// The programs alone.
pub(super) fn programs(report: &Report) {
    for program in &report.programs {
        let count = program.verified_instructions.map_or("not told by this kernel".to_owned(), |n| n.to_string());
        println!("{:<16} {count:>10} instructions verified", program.name);
    }
    for finding in report.host.iter().filter(|finding| finding.verdict == Verdict::Fatal) {
        println!("{}", finding.detail);
    }
}
