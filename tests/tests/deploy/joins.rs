//! The queries of docs/kubernetes.md that join pods' labels and owners, as Prometheus' own tool evaluates them.

use crate::tool::{output, tool};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The document's queries, in order.
fn queries() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md");
    let page = fs::read_to_string(page).expect("docs/kubernetes.md");
    let indented = page.split("\n\n").filter(|paragraph| paragraph.starts_with("    sum by"));
    indented.map(|query| query.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A sample that grows by 60 a minute, of a server in a pod.
fn requests(pod: &str, model: &str) -> Value {
    let series = format!(r#"llm_request_total{{model="{model}",k8s_namespace="serving",k8s_pod="{pod}"}}"#);
    json!({"series": series, "values": "0+60x10"})
}

fn info(pod: &str, owner: &str, team: &str) -> Value {
    let labels = format!(r#"owner_kind="Deployment",owner_name="{owner}",label_team="{team}""#);
    let series = format!(r#"inferscope_pod_info{{k8s_namespace="serving",k8s_pod="{pod}",{labels}}}"#);
    json!({"series": series, "values": "1x10"})
}

fn memory(pod: &str, bytes: u64) -> Value {
    let series = format!(r#"gpu_memory_used_bytes{{uuid="{pod}",k8s_namespace="serving",k8s_pod="{pod}"}}"#);
    json!({"series": series, "values": format!("{bytes}x10")})
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn what_the_document_joins_is_what_it_says() {
    let [by_deployment, by_team] = queries().try_into().expect("two queries");
    let input = [
        // Two replicas, one of which serves two models, and another team's pod.
        requests("chat-1", "a"),
        requests("chat-1", "b"),
        requests("chat-2", "a"),
        requests("images-1", "c"),
        json!({"series": r#"llm_request_total{model="outside"}"#, "values": "0+60x10"}),
        info("chat-1", "chat", "text"),
        info("chat-2", "chat", "text"),
        info("images-1", "images", "pictures"),
        memory("chat-1", 3),
        memory("chat-2", 4),
        memory("images-1", 5),
        // A device of which only the instances are somebody's.
        json!({"series": r#"gpu_memory_used_bytes{uuid="cut",mig_device=""}"#, "values": "9x10"}),
        memory("images-2", 6),
        info("images-2", "images", "pictures"),
    ];
    let owner = |name: &str, value: u32| json!({"labels": format!(r#"{{k8s_namespace="serving",owner_name="{name}"}}"#), "value": value});
    let team = |name: &str, value: u32| json!({"labels": format!(r#"{{label_team="{name}"}}"#), "value": value});
    let case = json!({"evaluation_interval": "1m", "tests": [{"interval": "1m", "input_series": input, "promql_expr_test": [
        {"expr": by_deployment, "eval_time": "10m", "exp_samples": [owner("chat", 3), owner("images", 1)]},
        {"expr": by_team, "eval_time": "10m", "exp_samples": [team("text", 7), team("pictures", 11)]},
    ]}]});
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("joins.yaml");
    fs::write(&file, case.to_string()).expect("the target folder is writable");
    output(tool("promtool").args(["test", "rules"]).arg(file));
}
