//! The chart, rendered by helm.

use crate::tool::{output, tool};
use inferscope_tests::repository;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The namespace that it is rendered for.
pub const NAMESPACE: &str = "inferscope";

/// Values under which it is tried: a name, and arguments for helm.
pub const VALUES: &[(&str, &[&str])] = &[
    ("defaults", &[]),
    (
        "everything",
        &[
            "--set=metrics.monitor=ServiceMonitor,metrics.labels.release=stack,rules.enabled=true,dashboards.enabled=true",
            "--set=networkPolicy.enabled=true,priorityClassName=system-node-critical,nvidia.runtimeClassName=nvidia",
            "--set-json=networkPolicy.egress=[{\"ports\":[{\"port\":4317,\"protocol\":\"TCP\"}]}]",
            "--set-json=metrics.metricRelabelings=[{\"action\":\"labeldrop\",\"regex\":\"uuid\"}]",
            "--set-json=config={\"labels\":{\"cluster\":\"eu-1\"},\"gpu\":{\"dcgm_names\":true},\"cross_check\":true}",
            "--set-json=env=[{\"name\":\"OTEL_EXPORTER_OTLP_ENDPOINT\",\"value\":\"http://collector:4317\"}]",
            "--set-json=envFrom=[{\"secretRef\":{\"name\":\"collector\",\"optional\":true}}]",
            "--set-json=volumes=[{\"name\":\"ca\",\"secret\":{\"secretName\":\"ca\"}}]",
            "--set-json=volumeMounts=[{\"name\":\"ca\",\"mountPath\":\"/etc/ca\",\"readOnly\":true}]",
            "--set=podLabels.team=ml,serviceAccount.annotations.a=b,image.pullSecrets={registry}",
        ],
    ),
    ("an older kernel", &["--set=capabilities.sysAdmin=false,metrics.monitor=PodMonitor"]),
    ("privileged", &["--set=privileged=true,nvidia.source=host,nvidia.hostFolder=/home/kubernetes/bin/nvidia/lib64"]),
    ("OpenShift", &["--set=seLinuxOptions.type=spc_t", "--set-json=appArmorProfile=null"]),
    ("labels of pods by the API server", &["--set=pods.metadata.source=api"]),
    (
        "labels of pods by the kubelet",
        &[
            "--set=pods.metadata.source=kubelet,networkPolicy.enabled=true",
            "--set-json=networkPolicy.egress=[{\"ports\":[{\"port\":4317,\"protocol\":\"TCP\"}]}]",
            "--set-json=config.pods.metadata={\"labels\":[\"team\"],\"certificate\":\"unverified\"}",
        ],
    ),
    (
        "labels of pods by an older kubelet",
        &["--set=pods.metadata.source=kubelet,pods.metadata.nodesProxy=true", "--kube-version=1.32.0"],
    ),
    (
        "every node, nothing of the host",
        &[
            "--set-json=affinity=null,tolerations=[{\"operator\":\"Exists\"}]",
            "--set=pods.links=false,pods.resources=false,tracefs=false,nvidia.source=none,serviceAccount.create=false",
            "--set-string=image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ],
    ),
];

/// The chart's folder.
pub fn folder() -> PathBuf {
    repository("deploy/helm/inferscope")
}

/// `helm template` with more arguments.
pub fn template(arguments: &[&str]) -> Command {
    let mut helm = tool("helm");
    helm.args(["template", "inferscope"]).arg(folder()).args(["--namespace", NAMESPACE]).args(arguments);
    helm
}

/// What it renders to.
pub fn render(arguments: &[&str]) -> Vec<Value> {
    documents(&output(&mut template(arguments)))
}

/// The objects in YAML.
pub fn documents(yaml: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(yaml).map(|document| {
        serde_yaml::Value::deserialize(document).and_then(serde_yaml::from_value::<Value>).expect("helm writes YAML")
    });
    documents.filter(|document| !document.is_null()).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    let [object] = found[..] else { panic!("{} objects are a {kind}", found.len()) };
    object
}
