//! Tidiness as a test: file sizes, no dead links, and nothing in the repository that is true on one machine only.

use crate::workspace;
use anyhow::{Context, Result, bail, ensure};
use clap::CommandFactory;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

mod commands;
mod links;
mod markdown;
mod tree;

use self::tree::Tree;

/// A Rust file above this is a defect.
const RUST_LINES: usize = 600;
/// ARCHITECTURE.md is read in one go.
const ARCHITECTURE_LINES: usize = 300;
/// Paths of somebody's machine, each in two parts so that this file passes its own check.
const FOREIGN: &[(&str, &str)] = &[("/ro", "ot/"), ("/wo", "rk/"), ("/tmp", "/wt"), ("../sh", "ared"), ("/ho", "me/")];
/// A folder that every node of one cloud has: where its Kubernetes keeps NVIDIA's driver. In two parts, too.
const CLOUDS: (&str, &str) = ("/ho", "me/kubernetes/");

/// Checks every tracked file; all findings at once.
pub fn check() -> Result<()> {
    let listing = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace::root()).output();
    let listing = listing.context("git ls-files")?;
    ensure!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let names = String::from_utf8(listing.stdout).context("a tracked file's name is not UTF-8")?;
    let (mut tree, mut texts) = (Tree::default(), BTreeMap::new());
    for name in names.split_terminator('\0') {
        let path = workspace::root().join(name);
        // Deleted but not yet committed.
        if !path.exists() {
            continue;
        }
        // What is not text has nothing to read.
        let text = fs::read_to_string(path).unwrap_or_default();
        tree.add(name, if name.ends_with(".md") { markdown::anchors(&text) } else { BTreeSet::new() });
        texts.insert(name, text);
    }
    let xtask = crate::Arguments::command();
    let mut findings = Vec::new();
    for (name, text) in &texts {
        findings.extend(judge(name, text));
        findings.extend(links::dead(name, text, &tree));
        if name.ends_with(".md") {
            findings.extend(commands::unknown(name, text, &xtask));
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("\n  {}", findings.join("\n  "))
}

/// What is wrong with one file.
fn judge(name: &str, text: &str) -> Vec<String> {
    let limit = match name {
        "ARCHITECTURE.md" => ARCHITECTURE_LINES,
        _ if name.ends_with(".rs") => RUST_LINES,
        _ => usize::MAX,
    };
    let lines = text.lines().count();
    let size = (lines > limit).then(|| format!("{name}: {lines} lines, {limit} at most"));
    let clouds = format!("{}{}", CLOUDS.0, CLOUDS.1);
    let foreign = text.lines().zip(1..).filter_map(|(line, number)| {
        let line = line.replace(&clouds, "");
        let (start, end) = FOREIGN.iter().find(|(start, end)| mentions(&line, &format!("{start}{end}")))?;
        Some(format!("{name}:{number}: names {start}{end}, which exists on one machine only"))
    });
    size.into_iter().chain(foreign).collect()
}

/// Whether `line` holds `path` at its beginning or behind something that is no part of a longer path.
fn mentions(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|character| character.is_alphanumeric() || "-_/}".contains(character))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found() {
        let long = "line\n".repeat(RUST_LINES + 1);
        assert_eq!(judge("a.rs", &long), ["a.rs: 601 lines, 600 at most"]);
        assert!(judge("a.json", &long).is_empty());
        assert_eq!(judge("ARCHITECTURE.md", &long).len(), 1);
    }

    #[test]
    fn paths_of_one_machine_are_found_and_parts_of_others_are_not() {
        for (start, end) in FOREIGN {
            assert_eq!(judge("a.md", &format!("see `{start}{end}x`")).len(), 1, "{start}{end}");
        }
        for fine in [["/proc/PID/ro", "ot/usr"], ["/ho", "me/kubernetes/bin/nvidia"]] {
            assert!(judge("a.md", &fine.concat()).is_empty());
        }
    }
}
