//! Whether an expression asks for what there is: the catalog's metrics, and labels that they can have.

use crate::promql::{Selector, names};
use inferscope::metric::catalog::{self, Kind, Metric};
use std::collections::BTreeSet;

/// Labels that any series may have: of the scrape, of the configuration as the fleet's dashboard has them, of the place
/// where a server runs, and of its only GPU.
const EVERYWHERE: [&str; 11] = [
    "instance",
    "job",
    "provider",
    "cluster",
    "region",
    "environment",
    "k8s_namespace",
    "k8s_pod",
    "k8s_container",
    "container",
    "gpu",
];
/// What Prometheus itself says of a scrape.
const PROMETHEUS: [&str; 1] = ["up"];

/// What an expression asks for in vain. `recorded` are the names of recording rules.
pub fn unknown(expression: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let names = names(expression);
    let mut problems = Vec::new();
    let mut labels: BTreeSet<&str> = EVERYWHERE.into();
    for Selector { metric, labels: asked } in &names.selectors {
        if recorded.contains(metric) || PROMETHEUS.contains(&metric.as_str()) {
            continue;
        }
        let Some((row, extra)) = row(metric) else {
            problems.push(format!("there is no metric {metric}"));
            continue;
        };
        labels.extend(row.labels.iter().chain(&extra));
        let has = |label: &String| EVERYWHERE.contains(&label.as_str()) || row.labels.contains(&label.as_str());
        let strange = asked.iter().filter(|label| !has(label) && !extra.contains(&label.as_str()));
        problems.extend(strange.map(|label| format!("{metric} has no label {label}")));
    }
    let strange = names.groupings.iter().filter(|label| !labels.contains(label.as_str()));
    problems.extend(strange.map(|label| format!("nothing in it has a label {label}")));
    problems
}

/// A metric's row of the catalog, and the label that comes with its part.
fn row(name: &str) -> Option<(&'static Metric, Vec<&'static str>)> {
    if let Some(row) = catalog::all().find(|row| row.name == name && !matches!(row.kind, Kind::Histogram(_))) {
        return Some((row, Vec::new()));
    }
    let parts = [("_bucket", vec!["le"]), ("_sum", vec![]), ("_count", vec![])];
    parts.into_iter().find_map(|(suffix, extra)| {
        let stem = name.strip_suffix(suffix)?;
        let row = catalog::all().find(|row| row.name == stem && matches!(row.kind, Kind::Histogram(_)))?;
        Some((row, extra))
    })
}

#[test]
fn what_is_not_in_the_catalog_is_found() {
    let unknown = |expression| unknown(expression, &["a:b".to_owned()].into());
    assert!(unknown("sum by (model, cluster) (rate(llm_request_total{status=\"ok\"}[5m])) / a:b").is_empty());
    assert_eq!(unknown("llm_requests_total"), ["there is no metric llm_requests_total"]);
    assert_eq!(unknown("llm_time_to_first_token_seconds"), ["there is no metric llm_time_to_first_token_seconds"]);
    assert_eq!(unknown("llm_queue_depth{state=\"x\"}"), ["llm_queue_depth has no label state"]);
    assert_eq!(unknown("sum by (le) (llm_queue_depth)"), ["nothing in it has a label le"]);
}
