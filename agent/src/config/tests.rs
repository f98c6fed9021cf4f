//! The default file, and every way in which a file can be wrong.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::{Config, ServerRule, Source, document, problem::Path};
use crate::engine::ENGINES;
use proptest::prelude::*;
use std::fs;

fn problems(text: &str) -> String {
    Config::parse("f.yaml", text).unwrap_err().to_string()
}

fn check(text: &str, expected: &str) {
    assert_eq!(problems(text), expected, "in:\n{text}");
}

#[test]
fn the_default_file_is_generated_and_equals_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/inferscope.yaml");
    let generated = Config::default().to_yaml();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &generated).unwrap();
    }
    let file = fs::read_to_string(path).unwrap();
    assert_eq!(file, generated, "stale: run this test with UPDATE_EXPECT=1 and review the change");
    assert_eq!(Config::parse(path, &file).unwrap(), Config::default());
}

#[test]
fn the_default_file_fits_a_terminal() {
    for line in Config::default().to_yaml().lines() {
        assert!(line.len() <= 160, "{line}");
    }
}

#[test]
fn what_is_not_said_has_its_default() {
    for text in ["", "# nothing\n", "capture:\n  # all commented out\n", "labels:\nengines:\n", "engines: {vllm: }\n"] {
        assert_eq!(Config::parse("f", text).unwrap(), Config::default(), "{text}");
    }
}

#[test]
fn what_is_said_is_read_and_written_back() {
    let text = r#"
listen: "[::1]:1"
log: info,bpf=debug
labels: {provider: "a \"b\"\n: #", region: eu}
workflows: {845dc029c8b5: portrait, "000000000000": "x y"}
engines: {vllm: {enabled: false}}
servers:
  - {engine: vllm, argv: my-server, service: chat}
  - engine: vllm
    argv: "other: one"
capture: {ring_bytes: 1048576, poll_milliseconds: 1, rescan_seconds: 60, source: syscalls}
limits: {models: 3}
buckets: {request_duration_seconds: [1, 2.5]}
"#;
    let config = Config::parse("f", text).unwrap();
    assert_eq!(config.listen.to_string(), "[::1]:1");
    assert!(!config.engines.enabled("vllm") && !config.engines.enabled("unknown"));
    assert_eq!(config.servers.0[1], ServerRule { engine: "vllm", argv: "other: one".into(), service: None });
    assert_eq!(config.capture.source, Source::Syscalls);
    assert_eq!(config.buckets.request_duration_seconds, [1.0, 2.5]);
    assert_eq!(Config::parse("f", &config.to_yaml()).unwrap(), config);
}

#[test]
fn all_problems_are_reported_at_once_with_line_and_path() {
    let known = ENGINES.iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", ");
    check(
        r#"listen: 9464
lisen: here
capture:
  ring_bytes: 1000000000
  source: magic
  poll_milliseconds: -1
  rescan_seconds: 0
servers:
  - engine: vlm
    argv: x
  - service: ""
labels:
  model: m
  "bad name": x
  fine: 7
buckets:
  request_duration_seconds: [0.1, 0.1]
  time_to_first_token_seconds: []
  inter_token_latency_seconds: [a, .inf]
"#,
        &r#"f.yaml:1: listen: expected an address like 127.0.0.1:9464, found 9464
f.yaml:2: lisen: unknown setting, did you mean `listen`?
f.yaml:4: capture.ring_bytes: expected a power of two, found 1000000000; the next is 1073741824
f.yaml:5: capture.source: expected auto, uprobes or syscalls, found "magic"
f.yaml:6: capture.poll_milliseconds: expected a whole number, found -1
f.yaml:7: capture.rescan_seconds: expected 1 to 3600, found 0
f.yaml:9: servers[0].engine: no engine is named "vlm", did you mean `vllm`? (known: KNOWN)
f.yaml:11: servers[1]: `engine` is missing
f.yaml:11: servers[1]: `argv` is missing
f.yaml:11: servers[1].service: expected text, found none
f.yaml:13: labels.model: Inferscope's own metrics have a label of this name; choose another
f.yaml:14: labels.bad name: expected a label name of letters, digits and `_`, not beginning with a digit
f.yaml:15: labels.fine: expected text, found 7
f.yaml:17: buckets.request_duration_seconds: expected ascending bounds, found 0.1 after 0.1
f.yaml:18: buckets.time_to_first_token_seconds: expected at least one bucket bound
f.yaml:19: buckets.inter_token_latency_seconds[0]: expected a number, found "a""#
            .replace("KNOWN", &known),
    );
}

#[test]
fn single_problems() {
    check("[1]", "f.yaml:1: expected settings of the form `key: value`, found a list");
    check("capture: 5", "f.yaml:1: capture: expected settings of the form `key: value`, found 5");
    check("engines: {nobody: {}}", "f.yaml:1: engines.nobody: unknown setting");
    check("servers: {}", "f.yaml:1: servers: expected a list, found a mapping");
    check("7: x", "f.yaml:1: 7: unknown setting");
    check("limits: {models: 4294967296}", "f.yaml:1: limits.models: expected a whole number, found 4294967296");
    check("limits: {models: 0}", "f.yaml:1: limits.models: expected 1 to 10000, found 0");
    for key in ["portrait", "845DC029C8B5", "1"] {
        let message =
            "expected a workflow's hash of 12 hexadecimal digits in lower case (in quotes where all are decimal)";
        check(&format!("workflows: {{{key}: x}}"), &format!("f.yaml:1: workflows.{key}: {message}"));
    }
    check("workflows: {845dc029c8b5: ' '}", "f.yaml:1: workflows.845dc029c8b5: expected text, found none");
    check("labels: {__x: a}", "f.yaml:1: labels.__x: label names that begin with `__` belong to Prometheus");
    check("log: \"a=b=c\"", "f.yaml:1: log: expected a filter like `info` or `info,bpf=debug`, found \"a=b=c\"");
}

#[test]
fn broken_yaml_is_one_problem_with_its_line() {
    check("listen: x\n\tlog: y\n", "f.yaml:2: found a tab character that violates indentation");
    check("log: a\nlog: b\n", "f.yaml:1: duplicate entry with key \"log\"");
    check("listen: [1,\n", "f.yaml:2: did not find expected node content");
    check("limits:\n  models: 1\n  models: 2\n", "f.yaml:2: limits: duplicate entry with key \"models\"");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_and_a_missing_default_is_not() {
    let missing = std::path::Path::new("/nonexistent/inferscope.yaml");
    let message = Config::load(Some(missing)).unwrap_err().to_string();
    assert_eq!(message, "/nonexistent/inferscope.yaml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn lines_are_found_in_every_style() {
    let root = Path::default();
    let text = "a: &x\n  - 1\n  - {b: 2,\n     'c': 3}\n\"d\":\n  e: |\n   text\n  f: *x\n";
    for (path, line) in [
        (root.key("a"), Some(1)),
        (root.key("a").index(0), Some(2)),
        (root.key("a").index(1), Some(3)),
        (root.key("a").index(1).key("c"), Some(4)),
        (root.key("d"), Some(5)),
        (root.key("d").key("f"), Some(8)),
        (root.key("nowhere"), None),
    ] {
        assert_eq!(document::line(text, &path), line, "{path}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[a-z:\\[\\]{}\"' \\n\\-#&*!|0-9.]{0,80}") {
        let _ = Config::parse("f", &text);
    }
}
