//! What documents say of commands, settings, metrics and issues exists. A test; the documents are read as they are tracked.
//!
//! Only what is written as code counts: in backticks, fenced or indented. The journal and the decisions are left out: they say
//! what was so on their day.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli::Cli;
use crate::config::Config;
use crate::issue::Issue;
use crate::metric::catalog;
use clap::CommandFactory;
use std::fs;
use std::path::{Path, PathBuf};

/// Begins like a metric and is none: a program of Triton's.
const NO_METRIC: &str = "triton_python_backend_stub";

/// A piece of code in a document, and where it stands.
struct Piece {
    place: String,
    text: String,
}

/// Every piece of code in README.md, ARCHITECTURE.md and docs/*.md.
fn pieces() -> Vec<Piece> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let listed = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = listed.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    files.extend(["README.md", "ARCHITECTURE.md"].map(|name| root.join(name)));
    files.iter().flat_map(|path| code(path)).collect()
}

fn code(path: &Path) -> Vec<Piece> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let (mut fenced, mut pieces) = (false, Vec::new());
    for (line, number) in fs::read_to_string(path).unwrap().lines().zip(1..) {
        let place = format!("{name}:{number}");
        let mut add = |text: &str| pieces.push(Piece { place: place.clone(), text: text.to_owned() });
        if line.starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            add(line);
        } else {
            line.split('`').skip(1).step_by(2).for_each(&mut add);
        }
    }
    pieces
}

/// The longest beginning that a name may be.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    &text[..end]
}

#[test]
fn commands_are_those_of_the_command_line() {
    let cli = Cli::command();
    let mut wrong = Vec::new();
    for Piece { place, text } in pieces() {
        for (at, _) in text.match_indices("inferscope ") {
            let before = &text[..at];
            // `-p inferscope` names a package, `-n inferscope` a namespace.
            let is_value = before.split_whitespace().next_back().is_some_and(|word| word.starts_with('-'));
            if is_value || before.ends_with(|c: char| c.is_alphanumeric() || "_-\"".contains(c)) {
                continue;
            }
            let rest = text[at..].split(['|', '#', '&', ')', '>']).next().unwrap_or_default();
            let mut words = rest.split_whitespace().skip(1);
            let Some(word) = words.next().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else { continue };
            let Some(command) = cli.find_subcommand(word) else {
                wrong.push(format!("{place}: there is no `inferscope {word}`"));
                continue;
            };
            let known = |flag: &str| command.get_arguments().any(|argument| argument.get_long() == Some(flag));
            let flags = words.filter_map(|word| word.strip_prefix("--")?.split('=').next());
            wrong.extend(flags.filter(|flag| !known(flag)).map(|flag| format!("{place}: `{word}` has no --{flag}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn settings_are_those_of_the_configuration() {
    let yaml: serde_yaml::Value = serde_yaml::from_str(&Config::default().to_yaml()).unwrap();
    let sections: Vec<&str> = yaml
        .as_mapping()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.is_mapping())
        .filter_map(|(key, _)| key.as_str())
        .collect();
    // Of a list, or of a mapping with any keys, the default has none.
    let is_open = |value: &serde_yaml::Value| {
        value.as_sequence().is_some() || value.as_mapping().is_some_and(|map| map.is_empty())
    };
    let mut wrong = Vec::new();
    for Piece { place, text } in pieces() {
        let path = text.split([':', ' ', '=']).next().unwrap_or_default();
        let mut steps = path.split('.');
        let is_setting = path.contains('.') && path.chars().all(|c| c.is_ascii_lowercase() || c == '.' || c == '_');
        if !is_setting || !sections.contains(&steps.next().unwrap_or_default()) || path.ends_with(".rs") {
            continue;
        }
        let found =
            path.split('.').try_fold(&yaml, |value, step| if is_open(value) { Some(value) } else { value.get(step) });
        if found.is_none() {
            wrong.push(format!("{place}: there is no setting `{path}`"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn metrics_are_those_of_the_catalog() {
    let families = ["llm_", "gpu_", "triton_", "comfyui_", "inferscope_"];
    let issues: Vec<&str> = Issue::ALL.iter().map(|issue| issue.name()).collect();
    let mut wrong = Vec::new();
    for Piece { place, text } in pieces() {
        let words = text.split([' ', '(', '{', '"', '\'', ',']);
        for word in words.filter(|word| families.iter().any(|family| word.starts_with(family))) {
            let (name, rest) = word.split_at(name(word).len());
            // Names of files, of recorded series, and of what begins like a metric and is none.
            let is_other = rest.starts_with(['.', ':']) || name == NO_METRIC || issues.contains(&name);
            let whole = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            // `llm_*`, `llm_queue_…`
            let is_beginning = !rest.is_empty() || name.ends_with('_');
            let is = |metric: &str| [name, whole].contains(&metric) || is_beginning && metric.starts_with(name);
            if !is_other && !catalog::all().any(|metric| is(metric.name)) {
                wrong.push(format!("{place}: there is no metric `{name}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn issues_are_those_that_are_counted() {
    let mut wrong = Vec::new();
    for Piece { place, text } in pieces() {
        for (_, rest) in text.match_indices("issue=\"").map(|(at, found)| text.split_at(at + found.len())) {
            let issue = name(rest);
            if !Issue::ALL.iter().any(|known| known.name() == issue) {
                wrong.push(format!("{place}: there is no issue `{issue}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
