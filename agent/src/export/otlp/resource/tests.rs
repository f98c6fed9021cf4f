//! What resources say of servers, of the agent, and of whoever configured it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::engine::Role;
use crate::event::Tgid;
use crate::host::metadata::list;
use crate::status::{Attachment, Process};
use opentelemetry_proto::tonic::common::v1::any_value::Value;

fn machine() -> Machine {
    Machine { name: "node7".into(), id: "m1".into(), arch: "amd64", boot: "b".into() }
}

fn config(yaml: &str) -> Config {
    Config::parse("test", yaml).unwrap()
}

fn server(identity: Identity) -> ServerState {
    let process = Process {
        tgid: 7,
        engine: "vllm".into(),
        role: Role::Frontend,
        service: "chat".into(),
        container: None,
        evidence: String::new(),
        attachment: Attachment::Attached,
    };
    let service = owner().service;
    ServerState { process, service, identity, hooks: Vec::new(), named: false, root: Tgid(7), model: String::new() }
}

fn owner() -> Owner {
    Owner { engine: "vllm".into(), service: "chat".into() }
}

/// All attributes as lines, without the processes' numbers.
fn lines(resource: &Resource) -> Vec<String> {
    let said = resource.attributes.iter().filter(|attribute| attribute.key != "process.pid");
    let line = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => format!("{}={text}", attribute.key),
        Value::IntValue(number) => format!("{}={number}", attribute.key),
        other => format!("{}={other:?}", attribute.key),
    };
    said.map(line).collect()
}

#[test]
fn a_server_and_the_agent() {
    let yaml = "labels: {region: eu}\notlp: {resource: {team: a, service.name: mine, host.name: called}}";
    let mut resources = Resources::new(&config(yaml), machine());
    let identity = Identity {
        root: 7,
        executable: "python3.12".into(),
        version: Some("0.11.0".into()),
        port: Some(8000),
        ..Identity::default()
    };
    resources.refresh(&[server(identity)], &Metadata::default());
    let expected = [
        "gen_ai.provider.name=vllm",
        "host.arch=amd64",
        "host.id=m1",
        "host.name=called",
        "os.type=linux",
        "process.executable.name=python3.12",
        "region=eu",
        "server.address=node7",
        "server.port=8000",
        "service.instance.id=node7/chat",
        "service.name=chat",
        "service.version=0.11.0",
        "team=a",
    ];
    assert_eq!(lines(&resources.of(Some(&owner()))), expected);
    let agent = lines(&resources.of(None));
    assert!(agent.contains(&"service.name=mine".to_owned()) && agent.contains(&"team=a".to_owned()), "{agent:?}");
}

#[test]
fn what_is_not_known_of_a_server_is_absent() {
    let mut resources = Resources::new(&config(""), Machine::default());
    let expected = ["gen_ai.provider.name=vllm", "os.type=linux", "service.instance.id=/chat", "service.name=chat"];
    assert_eq!(lines(&resources.of(Some(&owner()))), expected);
    assert!(!resources.has_own_spans(&owner()));
    resources.refresh(&[server(Identity { own_spans: true, ..Identity::default() })], &Metadata::default());
    assert!(resources.has_own_spans(&owner()));
    assert_eq!(lines(&resources.of(Some(&owner()))), expected);
}

#[test]
fn servers_of_one_name_in_two_pods_are_two_resources() {
    let resources = Resources::new(&config(""), machine());
    let label = |name: &str, value: &str| LabelPair { name: name.into(), value: value.into() };
    let of_pod = |pod: &str| {
        let whose = [("engine", "vllm"), ("service", "chat"), ("k8s_namespace", "serving"), ("k8s_pod", pod)];
        let mut labels: Vec<LabelPair> = whose.into_iter().map(|(name, value)| label(name, value)).collect();
        labels.extend([label("k8s_container", "main"), label("status", "ok")]);
        let (owner, own) = resources.split(&labels);
        assert_eq!(own, [("engine", "vllm"), ("status", "ok")], "where it runs is the resource's to say");
        lines(&resources.of(owner.as_ref()))
    };
    for pod in ["a", "b"] {
        let said = of_pod(pod);
        for line in [
            format!("k8s.pod.name={pod}"),
            "k8s.namespace.name=serving".to_owned(),
            "k8s.container.name=main".to_owned(),
            "service.name=chat".to_owned(),
            format!("service.instance.id=node7/serving/{pod}/main/chat"),
        ] {
            assert!(said.contains(&line), "{line}: {said:?}");
        }
    }
    let labels = ["service", "engine", "container"].map(|name| label(name, "x"));
    let (owner, own) = resources.split(&labels);
    assert_eq!(own, [("engine", "x")]);
    let said = lines(&resources.of(owner.as_ref()));
    assert!(said.contains(&"container.name=x".to_owned()), "{said:?}");
}

/// A list of one pod, `serving/chat-0`, on node n7.
fn described(metadata: &str) -> Metadata {
    let list = format!(r#"{{"items":[{{"metadata":{{"namespace":"serving","name":"chat-0",{metadata}}}}}]}}"#);
    let keys = ["app", "a.b/c"].map(str::to_owned);
    let mut metadata = list::read(list.as_bytes(), &keys).unwrap();
    metadata.node = Some("n7".into());
    metadata
}

#[test]
fn owners_and_labels_of_pods_are_attributes() {
    let of = |kind: &str, name: &str| {
        let pod = Pod { namespace: "serving".into(), name: "chat-0".into(), container: "main".into() };
        let service = Service { workload: Some(Arc::new(Workload::Pod(pod))), ..owner().service };
        let server = ServerState { service: service.clone(), ..server(Identity::default()) };
        let labels = r#""labels":{"app":"chat","a.b/c":"","pod-template-hash":"ab1"}"#;
        let owner = format!(r#""ownerReferences":[{{"kind":"{kind}","name":"{name}","controller":true}}]"#);
        let mut resources = Resources::new(&config(""), machine());
        resources.refresh(&[server], &described(&format!("{labels},{owner}")));
        let all = lines(&resources.of(Some(&Owner { service, ..self::owner() })));
        assert!(lines(&resources.of(None)).contains(&"k8s.node.name=n7".to_owned()));
        let other = |line: &String| {
            !["k8s.namespace", "k8s.pod.name", "k8s.container"].iter().any(|known| line.starts_with(known))
        };
        let wanted = all.into_iter().filter(|line| line.starts_with("k8s.") || line.starts_with("inferscope."));
        wanted.filter(other).collect::<Vec<_>>()
    };
    let with = |owner: &[&str]| {
        let common = ["k8s.node.name=n7", "k8s.pod.label.a.b/c=", "k8s.pod.label.app=chat"];
        let mut all: Vec<String> = common.iter().chain(owner).map(|line| (*line).to_owned()).collect();
        all.sort();
        all
    };
    let deployment = with(&["k8s.deployment.name=chat", "k8s.replicaset.name=chat-ab1"]);
    assert_eq!(of("ReplicaSet", "chat-ab1"), deployment);
    assert_eq!(of("ReplicaSet", "chat"), with(&["k8s.replicaset.name=chat"]));
    assert_eq!(of("StatefulSet", "chat"), with(&["k8s.statefulset.name=chat"]));
    assert_eq!(of("DaemonSet", "chat"), with(&["k8s.daemonset.name=chat"]));
    assert_eq!(of("Job", "chat-1"), with(&["k8s.job.name=chat-1"]));
    assert_eq!(of("RayCluster", "ray"), with(&["inferscope.owner_kind=RayCluster", "inferscope.owner_name=ray"]));
}

#[test]
fn a_configured_name_of_the_node_wins() {
    let mut resources = Resources::new(&config("otlp: {resource: {k8s.node.name: mine}}"), machine());
    resources.refresh(&[], &described(r#""uid":"1""#));
    assert!(lines(&resources.of(None)).contains(&"k8s.node.name=mine".to_owned()));
}
