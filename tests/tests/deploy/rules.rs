//! deploy/prometheus: every rule asks for what there is; every alert has a runbook, and a case when it fires and when
//! not.

use crate::known::unknown;
use crate::tool::{output, tool};
use inferscope_tests::repository;
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_rule_asks_for_metrics_and_labels_that_there_are() {
    let rules = all_rules();
    let recorded = rules.iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect();
    let mut problems = Vec::new();
    for rule in &rules {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a name");
        let found = unknown(rule["expr"].as_str().expect("an expression"), &recorded);
        problems.extend(found.iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = fs::read_to_string(repository("docs/alerts.md")).expect("docs/alerts.md");
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(sections, alert_names(), "sections of docs/alerts.md, in the order of the rules");
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("a name");
        let text = |key: &str| alert["annotations"][key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("runbook"), format!("docs/alerts.md#{}", name.to_lowercase()));
        assert!(!text("summary").is_empty() && !text("description").is_empty(), "{name} says nothing");
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: severity {severity}");
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases: Vec<Value> = case_files().iter().flat_map(|file| list(&read(file)["tests"])).collect();
    let names: BTreeSet<&str> = cases.iter().filter_map(|case| case["name"].as_str()).collect();
    assert_eq!(names, alert_names().iter().map(String::as_str).collect());
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        let series: Vec<_> = list(&case["input_series"]).iter().map(|series| format!("{series:?}")).collect();
        assert!(series.iter().any(|series| series.contains("\\\"fine")), "{name} has nothing that is fine");
        let expected = list(&case["promql_expr_test"]);
        let asked = |test: &Value| test["expr"].as_str().is_some_and(|expr| expr.contains(&format!("\"{name}\"")));
        let fires = |test: &Value| {
            let samples = list(&test["exp_samples"]);
            !samples.is_empty() && samples.iter().all(|sample| !format!("{sample:?}").contains("fine"))
        };
        assert!(!expected.is_empty() && expected.iter().all(|test| asked(test) && fires(test)), "{name}");
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn promtool_accepts_the_rules_and_their_cases() {
    output(tool("promtool").args(["check", "rules"]).args(rule_files()));
    println!("{}", output(tool("promtool").args(["test", "rules"]).args(case_files())));
}

fn rule_files() -> Vec<PathBuf> {
    yaml_files(&repository("deploy/prometheus"))
}

fn case_files() -> Vec<PathBuf> {
    yaml_files(&repository("tests/deploy/rules"))
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Value {
    serde_yaml::from_str(&fs::read_to_string(file).expect("a file")).expect("YAML")
}

fn list(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_default()
}

fn all_rules() -> Vec<Value> {
    let groups = rule_files().into_iter().flat_map(|file| list(&read(&file)["groups"]));
    groups.flat_map(|group| list(&group["rules"])).collect()
}

fn alerts() -> Vec<Value> {
    all_rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

fn alert_names() -> Vec<String> {
    alerts().iter().filter_map(|alert| Some(alert["alert"].as_str()?.to_owned())).collect()
}
