//! docs/configuration.md: every setting, made from the configuration itself.
//!
//! Names, comments and defaults are those of the written default configuration. Which values a setting takes is asked of the
//! reader: it is given values that nobody would write, and what it says that it expected is what the document says. So a
//! new setting, of whatever type and rule, is documented by being declared.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::problem::Step;
use super::setting::Setting;
use super::yaml::{Entry, Yaml};
use super::{Config, Destination, Path, Problems};
use serde_yaml::{Mapping, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

const ABOUT: &str = "\
# Configuration

Generated from `agent/src/config` (`UPDATE_EXPECT=1 cargo test -p inferscope config` makes it anew); a test fails when it is stale.

Inferscope needs no configuration. What it reads is `--config FILE`, else `/etc/inferscope/inferscope.yaml` if it is there, else
nothing; a file needs only what differs from the defaults. Arguments of `inferscope run` (`--listen`, `--log`) win over the
file. Look:

    inferscope config                    # what is in effect, with comments
    inferscope config --default          # the defaults: the beginning of a file of one's own (config/inferscope.yaml is the same)
    inferscope config --config FILE      # what a file would have in effect, or all that is wrong with it

Every mistake in a file is said at once, with its line, and nothing starts (exit code 2):

";

const RELOAD: &str = "
SIGHUP makes the agent read its file again. Only `log` takes effect at once; the log says so where a restart is needed for
the rest, and a file with mistakes changes nothing. A restart does not touch the servers: requests that are under way are
counted, and have no latencies.

Of the environment, `inferscope run` fills in what `otlp` leaves open from the OTEL_* variables
([how](otlp.md#variables-of-the-environment)); `inferscope config` does not show it.
";

/// A file with mistakes, and what is said about it is shown as it is said.
const MISTAKEN: &str = "lisen: 0.0.0.0:9464\ncapture:\n  ring_bytes: 10000000\n  source: kprobes\n";

/// Complete files, each under config/examples.
const EXAMPLES: &[(&str, &str)] = &[
    ("A fleet of hosts, scraped from elsewhere", "all-interfaces"),
    ("Metrics and spans to a collector", "collector"),
    ("Names for servers and workflows", "named-servers"),
    ("A busy host", "busy-host"),
    ("In place of a DCGM exporter", "replace-dcgm-exporter"),
];

/// What the default configuration has no example of: the items of a list.
fn items() -> [(Path, &'static str, Yaml); 1] {
    let destination = Path::default().key("otlp").key("destinations").index(0);
    [(destination, "Each collector of the list.", Destination::default().write())]
}

/// A setting that the document has a row for.
struct Row {
    path: Path,
    default: String,
    comment: String,
}

/// A section of settings.
struct Section {
    path: Path,
    comment: String,
    rows: Vec<Row>,
}

#[test]
fn docs_configuration_md_is_generated_from_the_configuration() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let generated = document();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &generated).unwrap();
    }
    let file = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(file, generated, "stale: run this test with UPDATE_EXPECT=1 and review the change");
}

#[test]
fn every_setting_says_what_it_takes() {
    for section in sections() {
        for row in section.rows {
            assert!(!accepted(&row.path).is_empty(), "{} refuses nothing, so its type is not known", row.path);
            assert!(!row.comment.is_empty(), "{} has no comment", row.path);
        }
    }
}

#[test]
fn what_is_accepted_is_in_the_words_of_a_refusal() {
    let of = |path: &str| accepted(&path.split('.').fold(Path::default(), |path, key| path.key(key)));
    assert_eq!(of("limits.models"), "a whole number, 1 to 10000");
    assert_eq!(of("capture.source"), "auto, uprobes or syscalls");
    assert_eq!(of("capture.ring_bytes"), "a whole number, 1048576 to 1073741824, a power of two");
    assert_eq!(of("cross_check"), "true or false");
}

fn document() -> String {
    let mut out = ABOUT.to_owned();
    for line in Config::parse("inferscope.yaml", MISTAKEN).unwrap_err().to_string().lines() {
        let _ = writeln!(out, "    {line}");
    }
    out.push_str(RELOAD);
    out.push_str("\n## Examples\n");
    for (title, file) in EXAMPLES {
        let path = format!("config/examples/{file}.yaml");
        let text = fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        Config::parse(&path, &text).unwrap();
        let _ = write!(out, "\n{title} ([`{path}`](../{path})):\n\n```yaml\n{text}```\n");
    }
    for Section { path, comment, rows } in sections() {
        let title = if path.0.is_empty() {
            "Settings".to_owned()
        } else {
            format!("`{}`", path.to_string().replace("[0]", "[]"))
        };
        let _ = write!(out, "\n## {title}\n\n");
        if !comment.is_empty() {
            let _ = write!(out, "{comment}\n\n");
        }
        out.push_str("| setting | takes | default | what |\n|---|---|---|---|\n");
        for row in rows {
            let takes = match unit(&row.path) {
                Some(unit) => format!("{} ({unit})", accepted(&row.path)),
                None => accepted(&row.path),
            };
            let path = row.path.to_string().replace("[0]", "[]");
            let cells = [format!("`{path}`"), takes, format!("`{}`", row.default), row.comment];
            let _ = writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    out
}

/// All sections of the default configuration, in the order of its file.
fn sections() -> Vec<Section> {
    let mut sections = Vec::new();
    collect(Path::default(), String::new(), &Config::default().write(), &mut sections);
    for (path, comment, item) in items() {
        let list = sections.iter().rposition(|section| path.0.starts_with(&section.path.0)).unwrap();
        let mut inside = Vec::new();
        collect(path, comment.to_owned(), &item, &mut inside);
        sections.splice(list + 1..list + 1, inside);
    }
    sections
}

/// The section at `path`, then those inside it. One that says nothing of itself is a part of the one around it.
fn collect(path: Path, comment: String, value: &Yaml, sections: &mut Vec<Section>) {
    let Yaml::Section(entries) = value else { return };
    if !comment.is_empty() || path.0.is_empty() {
        sections.push(Section { path: path.clone(), comment, rows: Vec::new() });
    }
    let at = sections.len() - 1;
    for Entry { comment, key, value } in entries {
        let (path, comment) = (path.key(key), prose(comment));
        let default = match value {
            Yaml::Section(inside) if !inside.is_empty() => {
                collect(path, comment, value, sections);
                continue;
            }
            // One that may hold any keys.
            Yaml::Section(_) => "{}".to_owned(),
            value => value.document().trim().to_owned(),
        };
        sections[at].rows.push(Row { path, comment, default });
    }
}

/// A comment on one line.
fn prose(comment: &[&str]) -> String {
    comment.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// What the last word of a setting's name says that it is measured in.
fn unit(path: &Path) -> Option<&'static str> {
    let Some(Step::Key(key)) = path.0.last() else { return None };
    ["seconds", "milliseconds", "bytes"].into_iter().find(|unit| key.rsplit('_').next() == Some(unit))
}

/// What a setting takes, as its reader says when it is given something else.
fn accepted(path: &Path) -> String {
    // A mapping first: what refuses it says its type. The numbers are below every range, within one and odd, and above all.
    let mapping = Value::Mapping(Mapping::new());
    let numbers =
        [Value::from(-1.5), Value::from(0), Value::from(1_048_577), Value::from(u32::MAX), Value::from(1e300)];
    let lists = [vec![], vec![mapping.clone()], vec!["a".into()], vec![2.into(), 1.into()], vec![0.into()]];
    let texts = ["", "=,=", "?"].map(Value::from);
    let probes = [mapping].into_iter().chain(lists.map(Value::from)).chain(numbers).chain(texts);
    let (mut said, mut known) = (Vec::new(), BTreeSet::new());
    for probe in probes {
        let fresh = expectations(path, probe).into_iter().filter(|expected| known.insert(expected.clone()));
        said.extend(fresh);
    }
    said.join(", ")
}

/// What was expected instead of `value`.
fn expectations(path: &Path, value: Value) -> Vec<String> {
    let mut problems = Problems::default();
    let mut document = value;
    for step in path.0.iter().rev() {
        document = match step {
            Step::Key(key) => Value::Mapping(Mapping::from_iter([(Value::from(key.clone()), document)])),
            Step::Index(_) => Value::Sequence(vec![document]),
        };
    }
    let _ = Config::read(&document, &Path::default(), &mut problems);
    let expected = problems.0.into_iter().filter_map(|problem| {
        let rest = problem.message.strip_prefix("expected ")?;
        let end = rest.find(", found").unwrap_or(rest.len());
        let words = rest[..end].replace("settings of the form `key: value`", "a mapping");
        let inside = problem.path.0.len() > path.0.len();
        Some(if inside { format!("each {words}") } else { words })
    });
    expected.collect()
}
