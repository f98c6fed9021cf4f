//! What the chart renders is what Kubernetes takes and an operator expects, whatever the values.

use crate::chart::{self, VALUES, documents, only, render, template};
use crate::tool::{of_family, output, tool};
use inferscope::config::Config;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kubernetes' last three.
const RELEASES: [&str; 3] = ["1.35.0", "1.36.0", "1.37.0"];
/// The first line of plain manifests.
const HEAD: &str =
    "# Rendered from deploy/helm/inferscope by tests/tests/deploy: change the chart, then UPDATE_EXPECT=1.";

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn helm_finds_no_fault() {
    for (name, values) in VALUES {
        let said = output(tool("helm").args(["lint", "--strict", "--quiet"]).arg(chart::folder()).args(*values));
        assert_eq!(said.trim(), "", "{name}");
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn kubernetes_and_the_operator_know_every_field() {
    let folder = scratch("objects");
    let (mut plain, mut operators) = (Vec::new(), Vec::new());
    for (index, (_, values)) in VALUES.iter().enumerate() {
        for (number, object) in render(values).into_iter().enumerate() {
            let kind = object["kind"].as_str().expect("objects have a kind").to_owned();
            let file = folder.join(format!("{index}-{number}-{kind}.json"));
            fs::write(&file, object.to_string()).expect("the folder is writable");
            let of_operator = object["apiVersion"] == "monitoring.coreos.com/v1";
            if of_operator { &mut operators } else { &mut plain }.push(file);
        }
    }
    assert!(plain.len() > 15 && operators.len() > 3, "{plain:?} {operators:?}");
    for release in RELEASES {
        output(tool("kubernetes-validate").args(["--strict", "--quiet", "-k", release]).args(&plain));
    }
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/prometheus_operator.py");
    output(Command::new(of_family("kubernetes/venv/bin/python")).arg(check).args(&operators));
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn no_gpu_nothing_of_the_host_writable_and_a_token_for_labels_only() {
    for (name, values) in VALUES {
        let objects = render(values);
        let kinds: BTreeSet<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        let rights = kinds.iter().any(|kind| kind.contains("Role"));
        assert_eq!(rights, name.starts_with("labels of pods"), "{name}: {kinds:?}");
        assert!(!kinds.iter().any(|kind| kind.contains("Secret")), "{name}: {kinds:?}");
        let token = objects.iter().any(|object| object.to_string().contains("serviceAccountToken"));
        assert_eq!(token, rights, "{name}");
        let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
        assert_eq!((&pod["automountServiceAccountToken"], &pod["hostPID"]), (&json!(false), &json!(true)), "{name}");
        assert!(pod["hostNetwork"].is_null() && pod["hostIPC"].is_null(), "{name}");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        assert!(!container["resources"].to_string().contains("gpu"), "{name}");
        for volume in pod["volumes"].as_array().expect("volumes").iter().filter(|volume| volume["hostPath"].is_object())
        {
            let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
            let mine: Vec<_> = mounts.filter(|mount| mount["name"] == volume["name"]).collect();
            assert!(mine.len() == 1 && mine[0]["readOnly"] == true, "{name}: {volume}");
        }
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn privileges_are_exactly_these() {
    let context = |values: &[&str]| {
        only(&render(values), "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["securityContext"].clone()
    };
    let capabilities = ["BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN"];
    let expected = json!({
        "runAsUser": 0, "runAsGroup": 0, "readOnlyRootFilesystem": true, "privileged": false,
        "capabilities": {"drop": ["ALL"], "add": capabilities},
        "seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Unconfined"},
    });
    assert_eq!(context(&[]), expected);
    let older = context(&["--set=capabilities.sysAdmin=false"]);
    assert_eq!(older["capabilities"]["add"], json!(capabilities[..4]));
    // With SYS_ADMIN Kubernetes promises nothing of the kind (kubernetes issue 119568), so nothing is said.
    assert_eq!((&older["allowPrivilegeEscalation"], expected.get("allowPrivilegeEscalation")), (&json!(false), None));
    let all = context(&["--set=privileged=true"]);
    assert_eq!((&all["privileged"], &all["capabilities"]), (&json!(true), &Value::Null));
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn the_agent_reads_the_configuration() {
    for (name, values) in VALUES {
        let objects = render(values);
        let map = objects.iter().find(|object| !object["data"]["inferscope.yaml"].is_null()).expect("a ConfigMap");
        let text = map["data"]["inferscope.yaml"].as_str().expect("text");
        let config = Config::parse(name, text).unwrap_or_else(|problem| panic!("{problem:?}"));
        assert_eq!(config.listen.to_string(), "0.0.0.0:9464", "{name}");
        assert_eq!(config.cross_check, *name == "everything", "{name}");
        let library = if *name == "privileged" { "/usr/local/nvidia/lib64/libnvidia-ml.so.1" } else { "" };
        assert_eq!(config.gpu.library, library, "{name}");
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn what_is_wrong_is_refused_with_the_reason() {
    for (values, reason) in [
        ("--set=metrics.monitor=podmonitor", "'none', 'PodMonitor', 'ServiceMonitor'"),
        ("--set=imagee.tag=1", "'imagee' not allowed"),
        ("--set=config.listen=x", "say metrics.host and metrics.port"),
        ("--set=nvidia.source=host", "needs privileged: true"),
        ("--set=capabilities.extra={CAP_SYSLOG}", "/capabilities/extra/0"),
        ("--set-json=resources.limits={\"nvidia.com/gpu\":1}", "/resources/limits"),
        ("--set=metrics.interval=15", "/metrics/interval"),
    ] {
        let output = template(&[values]).output().expect("helm runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(reason), "{values}: {errors}");
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn versions_and_values_agree() {
    let chart = fs::read_to_string(chart::folder().join("Chart.yaml")).expect("Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(chart.contains(&format!("\nversion: {version}\nappVersion: {version}\n")), "{chart}");
    // Every value is in the schema, and every one of the schema in the values.
    let read = |name: &str| fs::read_to_string(chart::folder().join(name)).expect(name);
    let values = &documents(&read("values.yaml"))[0];
    let schema: Value = serde_json::from_str(&read("values.schema.json")).expect("JSON");
    let keys = |object: &Value| object.as_object().map(|map| map.keys().cloned().collect::<BTreeSet<_>>());
    let mut described = keys(&schema["properties"]).expect("properties");
    described.remove("global");
    assert_eq!(keys(values), Some(described));
    for (name, property) in schema["properties"].as_object().expect("properties") {
        if property["additionalProperties"] == false {
            assert_eq!(keys(&values[name]), keys(&property["properties"]), "{name}");
        }
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn the_plain_manifests_are_the_chart() {
    let kubernetes = chart::folder().join("../../kubernetes");
    for (file, values) in [
        ("inferscope.yaml", &[][..]),
        (
            "prometheus-operator.yaml",
            &[
                "--set=metrics.monitor=PodMonitor,rules.enabled=true",
                "--show-only=templates/monitor.yaml",
                "--show-only=templates/rules.yaml",
            ],
        ),
    ] {
        let rendered = output(&mut template(values));
        let lines = rendered.lines().filter(|line| !is_helms(line));
        let text: String = [HEAD].into_iter().chain(lines).flat_map(|line| [line, "\n"]).collect();
        let path = kubernetes.join(file);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).expect("the folder is writable");
        }
        let there = fs::read_to_string(&path).expect(file);
        assert_eq!(there, text, "{file} is stale: run this test with UPDATE_EXPECT=1 and review the change");
    }
    let customised = documents(&output(tool("kubectl").arg("kustomize").arg(&kubernetes)));
    assert_eq!(only(&customised, "Namespace")["metadata"]["name"], chart::NAMESPACE);
    only(&customised, "DaemonSet");
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn a_package_holds_what_the_chart_links_to() {
    let folder = scratch("package");
    output(tool("helm").arg("package").arg(chart::folder()).arg("--destination").arg(&folder));
    let package = folder.join(format!("inferscope-{}.tgz", env!("CARGO_PKG_VERSION")));
    let values = ["--namespace", chart::NAMESPACE, "--set=rules.enabled=true,dashboards.enabled=true"];
    let packed = documents(&output(tool("helm").args(["template", "inferscope"]).arg(package).args(values)));
    assert_eq!(packed, render(&values[2..]));
    let of_kind = |kind: &str| packed.iter().filter(|object| object["kind"] == kind).count();
    let files = |folder: &str| fs::read_dir(chart::folder().join("../..").join(folder)).expect(folder).flatten();
    let ending = |folder, ending: &str| {
        files(folder).filter(|file| file.file_name().to_string_lossy().ends_with(ending)).count()
    };
    assert_eq!(of_kind("PrometheusRule"), ending("prometheus", ".yaml"));
    assert_eq!(of_kind("ConfigMap"), 1 + ending("grafana", ".json"));
}

/// Lines that say who manages an object.
fn is_helms(line: &str) -> bool {
    ["app.kubernetes.io/managed-by:", "helm.sh/chart:"].iter().any(|label| line.trim_start().starts_with(label))
}

/// An empty folder for a test's files.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}
