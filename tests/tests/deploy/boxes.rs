//! deploy/compose and deploy/collectors: each file is read by the program that it is for, or by a parser of its format;
//! what they point to is there.

use crate::tool::{of_family, output, tool};
use inferscope_tests::repository;
use serde_yaml::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads a compose file as the specification says, behind the variables' defaults.
const READ_COMPOSE: &str = r#"
import re, sys, compose_spec
for path in sys.argv[1:]:
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", open(path).read())
    compose_spec.PyCompose.from_yaml(text).validate()
"#;

fn deploy(path: &str) -> PathBuf {
    repository("deploy").join(path)
}

fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_sequence().into_iter().flatten().filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

#[test]
fn what_the_compose_file_mounts_is_there() {
    let compose = yaml("compose/compose.yaml");
    let services = compose["services"].as_mapping().expect("services");
    for mount in services.values().flat_map(|service| texts(&service["volumes"])) {
        let (source, _) = mount.split_once(':').expect("from:to");
        if source.starts_with('.') {
            assert!(deploy("compose").join(source).exists(), "{mount}");
        } else if !source.starts_with('/') {
            assert!(compose["volumes"].as_mapping().is_some_and(|volumes| volumes.contains_key(source)), "{mount}");
        }
    }
}

#[test]
fn the_boxes_parts_find_each_other() {
    let prometheus = yaml("compose/prometheus.yaml");
    let targets = texts(&prometheus["scrape_configs"][0]["static_configs"][0]["targets"]);
    let compose = yaml("compose/compose.yaml");
    let agent = texts(&compose["services"]["agent"]["command"]).concat();
    let port = targets[0].strip_prefix("agent:").expect("the agent's service");
    assert!(agent.contains(&format!("0.0.0.0:{port}")), "{agent}");
    let source = yaml("compose/grafana/datasources/prometheus.yaml")["datasources"][0].clone();
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
    let dashboards = yaml("compose/grafana/dashboards/inferscope.yaml")["providers"][0]["options"]["path"].clone();
    let mounted = texts(&compose["services"]["grafana"]["volumes"]);
    assert!(mounted.contains(&format!("../grafana:{}:ro", dashboards.as_str().expect("a path"))), "{mounted:?}");
    let rules = texts(&compose["services"]["prometheus"]["volumes"]);
    assert!(rules.contains(&"../prometheus:/etc/prometheus/rules:ro".to_owned()), "{rules:?}");
}

#[test]
fn nothing_of_the_box_is_reachable_from_outside() {
    let compose = yaml("compose/compose.yaml");
    for (name, service) in compose["services"].as_mapping().expect("services") {
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name:?}: {port}");
        }
    }
}

/// Nothing but YAML can be said of it here: its collector is in no registry that the tests may use.
#[test]
fn pipelines_of_the_collector_name_what_it_declares() {
    let collector = yaml("collectors/opentelemetry.yaml");
    for (_, pipeline) in collector["service"]["pipelines"].as_mapping().expect("pipelines") {
        for kind in ["receivers", "processors", "exporters"] {
            for name in texts(&pipeline[kind]) {
                assert!(collector[kind].as_mapping().is_some_and(|known| known.contains_key(&name)), "{kind}: {name}");
            }
        }
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn every_configuration_of_prometheus_is_one() {
    for path in [
        "compose/prometheus.yaml",
        "collectors/prometheus.yaml",
        "collectors/federation.yaml",
        "collectors/remote-write.yaml",
    ] {
        output(tool("promtool").args(["check", "config", "--syntax-only"]).arg(deploy(path)));
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn the_compose_files_are_what_the_specification_says() {
    let read = |files: &[PathBuf]| {
        let mut python = Command::new(of_family("compose/venv/bin/python"));
        python.args(["-c", READ_COMPOSE]).args(files);
        python
    };
    let files = ["compose/compose.yaml", "compose/compose.nvidia.yaml"].map(deploy);
    output(&mut read(&files));
    // The parser is strict: a key that compose would refuse is found.
    let broken = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broken-compose.yaml");
    let text = fs::read_to_string(&files[0]).expect("a file").replacen("cap_drop", "cap_dropp", 1);
    fs::write(&broken, text).expect("a file");
    assert!(!read(&[broken]).output().expect("python").status.success());
}
