//! A server in a pod, on a MIG instance that the kubelet gave to that pod, and an API server that knows the pod's labels and owner.

use super::cgroup::Cgroup;
use super::node::{Node, Says, certificate};
use super::{UID, id, link};
use crate::agent::{Agent, Folder, Metrics};
use crate::collector::Collector;
use crate::server::Server;
use inferscope_nvml::{Device, Mig, Process, Scenario};
use inferscope_tests::agent::binary;
use inferscope_tests::load::{self, Options};
use std::fs;
use std::process::Command;

const POD: &str = "chat-7d9f8b6c5-x2x9p";
const MIG: &str = "MIG-22222222-0000-0000-0000-000000000000";
const OTHER: &str = "MIG-33333333-0000-0000-0000-000000000000";
const CANARY: &str = "canary-5d1e";
const FIRST: &str = "canary-5d1e-first-token";
const SECOND: &str = "canary-5d1e-second-token";

/// Where it runs, as labels.
const WHERE: [(&str, &str); 2] = [("k8s_namespace", "serving"), ("k8s_pod", POD)];

/// The pod, and more of it than was asked for; and the one that has the other instance.
fn pods() -> String {
    let uid = UID.replace('_', "-");
    format!(
        r#"{{"kind":"PartialObjectMetadataList","items":[{{"metadata":{{"namespace":"serving","name":"{POD}","uid":"{uid}",
        "labels":{{"app.kubernetes.io/name":"chat","team":"ml","{CANARY}":"1","secret":"{CANARY}","pod-template-hash":"7d9f8b6c5"}},
        "annotations":{{"note":"{CANARY}"}},
        "ownerReferences":[{{"kind":"ReplicaSet","name":"chat-7d9f8b6c5","controller":true}}]}},
        "spec":{{"containers":[{{"name":"vllm","env":[{{"name":"HF_TOKEN","value":"{CANARY}"}}]}}]}}}},
        {{"metadata":{{"namespace":"serving","name":"images-0","ownerReferences":[{{"kind":"StatefulSet","name":"images","controller":true}}]}}}}]}}"#
    )
}

/// A device with two instances; the server is on the first.
fn machine(pid: u32) -> Scenario {
    let instance = |uuid: &str, gi| Mig {
        uuid: uuid.into(),
        profile: "1g.10gb".into(),
        gi,
        memory: Some([10 << 30, 0, 4 << 30]),
        ..Mig::default()
    };
    let device = Device {
        uuid: "GPU-11111111-0000-0000-0000-000000000000".into(),
        name: "NVIDIA H100 80GB HBM3".into(),
        bus_id: "00000000:1B:00.0".into(),
        mig: Some([(0, instance(MIG, 7)), (1, instance(OTHER, 8))].into()),
        processes: vec![Process { pid, memory: Some(4 << 30), instance: Some([7, 0]), ..Process::default() }],
        ..Device::default()
    };
    Scenario { driver: "580.95.05".into(), devices: vec![device], ..Scenario::default() }
}

#[test]
#[ignore = "needs root"]
fn labels_owners_and_devices_of_a_pod_meet() {
    let server = Server::demo(1);
    let slice = format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID}.slice");
    let _cgroup = Cgroup::around(server.pid(), &format!("{slice}/cri-containerd-{}.scope", id('a')));
    let folder = Folder::new();
    let (links, socket, token) = (folder.path("links"), folder.path("kubelet.sock"), folder.path("token"));
    fs::create_dir(&links).expect("the folder is writable");
    link(&links, POD, 'a');
    let library = inferscope_nvml::install(&folder.path("")).expect("a copy of the library");
    machine(server.pid()).write(&folder.path("")).expect("a scenario");
    fs::write(&token, FIRST).expect("the folder is writable");
    let devices = &[["serving", POD, "vllm", MIG], ["serving", "images-0", "comfyui", OTHER]];
    let node = Node::start(&socket, Says { devices, pods: pods(), token: SECOND });
    let collector = Collector::start();
    let (ca, address) = (certificate("ca.pem"), node.address());
    let configuration = format!(
        "gpu: {{library: {library:?}}}\n\
         pods: {{links: {links:?}, resources: {socket:?}, metadata: {{source: api, address: {address:?}, node: gpu-7, \
         token: {token:?}, ca: {ca:?}, labels: [app.kubernetes.io/name, team, absent], interval_seconds: 5}}}}\n\
         otlp: {{interval_seconds: 1, destinations: [{{endpoint: {:?}, protocol: http/protobuf}}]}}\n",
        collector.endpoint()
    );
    let mut agent = Agent::start_with(&[&server], &configuration);
    agent.wait_attached(&[server.pid()]);

    // Whose token this is may not list pods.
    agent.metrics_with("inferscope_issues_total", &[("issue", "pod_metadata_unread")]);
    let refused = agent.status()["pods"]["metadata"].clone();
    assert_eq!(refused["state"], "failing");
    assert!(refused["problem"].as_str().is_some_and(|why| why.contains("needs `list` on pods")), "{refused}");
    fs::write(&token, SECOND).expect("the folder is writable");
    agent.metrics_with("inferscope_pod_info", &WHERE);
    agent.metrics_with("gpu_process_memory_bytes", &WHERE);
    // Spans are made with what is known when their request ends.
    agent.metrics_when("collectors are told, too", |_| {
        collector.posts("/v1/metrics").iter().any(|post| post.has(b"k8s.deployment.name"))
    });
    let _ = load::collect(&Options::new(server.address(), server.model()));
    let metrics = agent.metrics_after(1);

    let info: Vec<_> = metrics.text.lines().filter(|line| line.starts_with("inferscope_pod_info{")).collect();
    let expected = format!(
        r#"inferscope_pod_info{{k8s_namespace="serving",k8s_pod="{POD}",owner_kind="Deployment",owner_name="chat","#
    ) + r#"label_app_kubernetes_io_name="chat",label_team="ml"} 1"#;
    let others = r#"inferscope_pod_info{k8s_namespace="serving",k8s_pod="images-0",owner_kind="StatefulSet",owner_name="images"} 1"#;
    assert_eq!(info, [expected.as_str(), others]);
    assert_eq!(metrics.sum("llm_request_total", &WHERE), Some(1.0), "{}", metrics.text);
    assert_eq!(metrics.sum("llm_request_total", &[("gpu", MIG)]), Some(1.0));
    let held = |labels: &[(&str, &str)]| metrics.sum("gpu_memory_used_bytes", labels);
    let whose = |uuid, pod| [("mig_device", uuid), ("k8s_namespace", "serving"), ("k8s_pod", pod)];
    assert_eq!(held(&whose(MIG, POD)), Some((4_u64 << 30) as f64));
    assert_eq!(held(&whose(OTHER, "images-0")), Some((4_u64 << 30) as f64));
    assert_eq!(held(&[("mig_device", ""), ("k8s_pod", POD)]), None, "the whole device is nobody's");
    let status = agent.status();
    let (resources, devices) = (&status["pods"]["resources"], &status["pods"]["devices"]);
    assert_eq!((resources, devices), (&"working".into(), &2.into()));
    assert_eq!(status["pods"]["metadata"], serde_json::json!({"state": "working", "pods": 2}));

    let file = folder.path("check.yaml");
    fs::write(&file, &configuration).expect("the folder is writable");
    let check = Command::new(binary()).args(["check", "--config"]).arg(&file).output().expect("check runs");
    let check = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.contains("labels and owners of 2 pods of gpu-7"), "{check}");
    over(agent, &collector, &metrics, &[&status.to_string(), &check]);
}

/// What collectors were told has what the labels have; nothing has what was not to be kept.
fn over(agent: Agent, collector: &Collector, metrics: &Metrics, said: &[&str]) {
    let ended = agent.stop();
    for path in ["/v1/metrics", "/v1/traces"] {
        let posts = collector.posts(path);
        let last = posts.iter().rfind(|post| post.has(b"k8s.pod.name")).expect("something of the pod");
        for (key, value) in [
            ("k8s.deployment.name", "chat"),
            ("k8s.replicaset.name", "chat-7d9f8b6c5"),
            ("k8s.pod.label.app.kubernetes.io/name", "chat"),
            ("k8s.pod.label.team", "ml"),
            ("k8s.node.name", "gpu-7"),
        ] {
            assert!(last.has(key.as_bytes()) && last.has(value.as_bytes()), "{path}: {key}");
        }
        assert!(!posts.iter().any(|post| post.has(CANARY.as_bytes())), "{path}");
    }
    let records = serde_json::Value::from(ended.records).to_string();
    let places = said.iter().copied().chain([metrics.text.as_str(), ended.log.as_str(), records.as_str()]);
    for text in places {
        assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
    }
}
