//! Which pods are shown, with what, and for how long.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::Config;
use crate::event::Nanos;
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::{Devices, List, OfContainer, OfPod};
use crate::host::metadata::list;
use crate::service::Service;
use prometheus_client::encoding::text;

const KEYS: [&str; 2] = ["app.kubernetes.io/name", "team"];

/// Pods `name` of a deployment `chat`, with these labels.
fn metadata(pods: &[(&str, &str)]) -> Arc<Metadata> {
    let item = |(name, labels): &(&str, &str)| {
        format!(
            r#"{{"metadata":{{"namespace":"serving","name":"{name}","labels":{{"pod-template-hash":"ab1"{labels}}},
            "ownerReferences":[{{"kind":"ReplicaSet","name":"chat-ab1","controller":true}}]}}}}"#
        )
    };
    let items = pods.iter().map(item).collect::<Vec<_>>().join(",");
    Arc::new(list::read(format!(r#"{{"items":[{items}]}}"#).as_bytes(), &KEYS.map(str::to_owned)).unwrap())
}

fn pod(name: &str) -> (Pod, Option<PodUid>) {
    (Pod { namespace: "serving".into(), name: name.into(), container: "main".into() }, None)
}

fn shown(metrics: &Metrics) -> Vec<String> {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let series = out.lines().filter_map(|line| line.strip_prefix("inferscope_pod_info{"));
    series.map(|line| line.replace("k8s_namespace=\"serving\",", "")).collect()
}

const OWNER: &str = r#"owner_kind="Deployment",owner_name="chat""#;

#[test]
fn labels_are_named_as_kube_state_metrics_names_them() {
    for (key, label) in [
        ("app", "label_app"),
        ("app.kubernetes.io/name", "label_app_kubernetes_io_name"),
        ("leaderworkerset.sigs.k8s.io/worker-index", "label_leaderworkerset_sigs_k8s_io_worker_index"),
        ("ray.io/isRayNode", "label_ray_io_is_ray_node"),
        ("HTTPServer2Go", "label_httpserver2_go"),
    ] {
        assert_eq!(pod_label(key), label);
    }
}

#[test]
fn pods_of_servers_have_one_series_each() {
    let metrics = Metrics::new(&Config::default());
    metrics.pods(&[pod("a")]);
    assert!(shown(&metrics).is_empty(), "nothing is known of it");
    metrics.described(metadata(&[("a", r#","team":"x\"y","app.kubernetes.io/name":"chat""#), ("b", ""), ("c", "")]));
    // Two containers of a pod are one pod.
    metrics.pods(&[pod("a"), pod("a"), pod("b")]);
    let a = format!(r#"k8s_pod="a",{OWNER},label_app_kubernetes_io_name="chat",label_team="x\"y"}} 1"#);
    let b = format!(r#"k8s_pod="b",{OWNER}}} 1"#);
    assert_eq!(shown(&metrics), [a, b.clone()]);
    metrics.described(metadata(&[("a", r#","team":"z""#), ("b", "")]));
    metrics.pods(&[pod("a"), pod("b")]);
    assert_eq!(shown(&metrics), [format!(r#"k8s_pod="a",{OWNER},label_team="z"}} 1"#), b]);
}

#[test]
fn pods_with_devices_are_shown_too() {
    let metrics = Metrics::new(&Config::default());
    metrics.described(metadata(&[("a", ""), ("b", ""), ("c", "")]));
    let given = |name: &str, device: &str| {
        let devices = vec![Devices { resource: "nvidia.com/gpu".into(), ids: vec![device.into()] }];
        let containers = vec![OfContainer { name: "main".into(), devices }];
        OfPod { name: name.into(), namespace: "serving".into(), containers }
    };
    // Nobody knows whose a device of two pods is: no series of it has a pod.
    let pods = vec![given("a", "GPU-1"), given("b", "GPU-2"), given("b", "GPU-3"), given("c", "GPU-3::1")];
    metrics.allotted(Arc::new(Allotments::of(&List { pods })));
    metrics.pods(&[pod("a")]);
    let expected = ["a", "b"].map(|name| format!(r#"k8s_pod="{name}",{OWNER}}} 1"#));
    assert_eq!(shown(&metrics), expected);
}

#[test]
fn a_pod_is_shown_as_long_as_its_servers_have_series() {
    let metrics = Metrics::new(&Config::default());
    let (pod, uid) = pod("a");
    let service = Service { name: "s".into(), workload: Some(Arc::new(Workload::Pod(pod.clone()))) };
    metrics.server_started("vllm", &service);
    metrics.described(metadata(&[("a", "")]));
    metrics.pods(&[(pod, uid)]);
    metrics.server_ended("vllm", &service, Nanos(0));
    metrics.described(metadata(&[]));
    metrics.pods(&[]);
    assert_eq!(shown(&metrics).len(), 1, "its last numbers are to be joined");
    metrics.tick(Nanos(61_000_000_000));
    metrics.pods(&[]);
    assert!(shown(&metrics).is_empty());
}
