//! What `check` says and docs/troubleshooting.md explains.

use super::tap::Reason;
use super::{findings, gpu};
use crate::config;
use crate::host::privilege::Capability;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../../docs/troubleshooting.md");

#[test]
fn every_finding_has_its_row_in_docs_troubleshooting_md() {
    let mut findings = findings::kernel();
    findings.extend(gpu::findings(&config::Gpu::default()));
    // Devices are numbered; this machine may have none.
    let seen = findings.iter().map(|finding| finding.what.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' '));
    let capabilities = Capability::ALL.map(Capability::name);
    let names: BTreeSet<&str> = seen.chain(["BPF", "uprobes", "GPU"]).chain(capabilities).collect();
    for name in names {
        assert!(DOCUMENT.contains(&format!("\n| `{name}` | ")), "docs/troubleshooting.md has no row for `{name}`");
    }
}

#[test]
fn every_reason_why_messages_are_not_read_has_its_row() {
    for reason in [Reason::Off, Reason::NoLibrary, Reason::NoEngine, Reason::NoFrontend] {
        let text = reason.text();
        assert!(DOCUMENT.contains(&format!("\n| {text} | ")), "docs/troubleshooting.md has no row for: {text}");
    }
}
