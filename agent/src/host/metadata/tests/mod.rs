//! What lists say, and servers of our own that tell, refuse, hang and lie.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod asked;
mod server;

use super::*;
use crate::host::container::Enclosed;
use list::Unusable;

const KUBELET: &[u8] = include_bytes!("../testdata/kubelet.json");
const API: &[u8] = include_bytes!("../testdata/api.json");

fn keys(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("app.kubernetes.io/{name}")).collect()
}

fn pod(namespace: &str, name: &str) -> Pod {
    Pod { namespace: namespace.into(), name: name.into(), container: "main".into() }
}

/// Who owns a pod, and its labels.
fn said(metadata: &Metadata, namespace: &str, name: &str) -> String {
    let described = metadata.of(&pod(namespace, name), None).unwrap();
    let owner = described.owner().map(|Owner { kind, name }| format!("{kind} {name}")).unwrap_or_default();
    described.labels.iter().fold(owner, |said, (key, value)| format!("{said} {key}={value:?}"))
}

#[test]
fn owners_and_listed_labels() {
    let metadata = list::read(KUBELET, &keys(&["name", "version"])).unwrap();
    for (namespace, name, expected) in [
        ("serving", "chat-7d9f8b6c5-x2x9p", r#"Deployment chat app.kubernetes.io/name="chat""#),
        (
            "serving",
            "images-0",
            r#"StatefulSet images app.kubernetes.io/name="images" app.kubernetes.io/version="1.2""#,
        ),
        ("batch", "evaluate-h8k2v", r#"Job evaluate app.kubernetes.io/name="évaluation \"A\"\n""#),
        ("kube-system", "static-gpu-7", ""),
        ("default", "bare", ""),
    ] {
        assert_eq!(said(&metadata, namespace, name), expected, "{name}");
    }
    assert_eq!(metadata.len(), 5, "one has no name yet");
    let metadata = list::read(API, &[]).unwrap();
    for (namespace, name, expected) in [
        // Argo's rollouts have replica sets, too: their hash is another label, and proves no deployment.
        ("serving", "rollout-5c6d7-abcde", "ReplicaSet rollout-5c6d7"),
        ("serving", "ray-head", "RayCluster ray"),
        ("kube-system", "static-gpu-7", "Node gpu-7"),
    ] {
        assert_eq!(said(&metadata, namespace, name), expected, "{name}");
    }
}

#[test]
fn a_deployment_is_proven_by_the_hash_at_the_end() {
    let owner = |name: &str, hash: &str| {
        let metadata = format!(
            r#"{{"namespace":"n","name":"p","labels":{{"pod-template-hash":"{hash}"}},
            "ownerReferences":[{{"kind":"ReplicaSet","name":"{name}","controller":true}}]}}"#
        );
        let list = format!(r#"{{"items":[{{"metadata":{metadata}}}]}}"#);
        said(&list::read(list.as_bytes(), &[]).unwrap(), "n", "p")
    };
    assert_eq!(owner("chat-abc", "abc"), "Deployment chat");
    assert_eq!(owner("chat-v2-abc", "abc"), "Deployment chat-v2");
    for (name, hash) in [("chat-abc", "abd"), ("chat-abc", ""), ("chat-abc", "bc"), ("-abc", "abc"), ("abc", "abc")] {
        assert_eq!(owner(name, hash), format!("ReplicaSet {name}"), "{hash}");
    }
}

#[test]
fn a_pod_of_the_same_name_is_another() {
    let metadata = list::read(KUBELET, &[]).unwrap();
    let uid = |uid: &str| Enclosed::parse(&format!("0::/kubepods/pod{uid}/{}", "a".repeat(64))).pod;
    let known =
        |metadata: &Metadata, namespace, name, of: &str| metadata.of(&pod(namespace, name), uid(of).as_ref()).is_some();
    assert!(known(&metadata, "serving", "images-0", "11111111-1111-4111-8111-111111111111"));
    assert!(known(&metadata, "serving", "images-0", "11111111_1111_4111_8111_111111111111"), "as systemd writes it");
    assert!(!known(&metadata, "serving", "images-0", "99999999-1111-4111-8111-111111111111"));
    assert!(!known(&metadata, "other", "images-0", "11111111-1111-4111-8111-111111111111"));
    assert!(known(&metadata, "default", "bare", "99999999-1111-4111-8111-111111111111"), "its uid was not said");
    // The API server has a uid of its own for what the kubelet made by itself.
    let hash = "0123456789abcdef0123456789abcdef";
    assert!(known(&metadata, "kube-system", "static-gpu-7", hash));
    assert!(known(&list::read(API, &[]).unwrap(), "kube-system", "static-gpu-7", hash));
}

#[test]
fn what_is_not_wanted_does_not_leave_the_decoder() {
    let metadata = list::read(KUBELET, &keys(&["name"])).unwrap();
    let said = format!("{metadata:?}");
    for kept in ["chat", "images", "evaluate"] {
        assert!(said.contains(kept), "{said}");
    }
    for passed_over in ["canary", "1.2", "job-name", "Workflow", "config.source"] {
        assert!(!said.contains(passed_over), "{passed_over}: {said}");
    }
    // Where a list can't be read, what stands there is not repeated.
    for broken in [
        r#"{"items":[{"metadata":{"name":"a","labels":"canary"}}]}"#,
        r#"{"items":[{"metadata":{"name":"a","ownerReferences":[{"canary":1}]}}]}"#,
        r#"{"items":"canary"}"#,
    ] {
        let error = list::read(broken.as_bytes(), &[]).unwrap_err();
        assert!(matches!(error, Unusable::Unreadable { line: 1, .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
}

#[test]
fn lists_that_are_none() {
    for (list, pods) in
        [(r#"{"items":[]}"#, Some(0)), (r#"{"items":null}"#, Some(0)), ("{}", None), ("", None), ("[", None)]
    {
        assert_eq!(list::read(list.as_bytes(), &[]).ok().map(|metadata| metadata.len()), pods, "{list}");
    }
    let many = |count: usize| {
        let item = |number| format!(r#"{{"metadata":{{"namespace":"n","name":"p{number}"}}}}"#);
        format!(r#"{{"items":[{}]}}"#, (0..count).map(item).collect::<Vec<_>>().join(","))
    };
    assert_eq!(list::read(many(4096).as_bytes(), &[]).unwrap().len(), 4096);
    assert_eq!(list::read(many(4097).as_bytes(), &[]), Err(Unusable::TooMany));
    assert_eq!(list::read(many(5000).as_bytes(), &[]), Err(Unusable::TooMany));
    // Cut anywhere, it is none.
    for end in 0..API.trim_ascii_end().len() {
        assert!(list::read(&API[..end], &[]).is_err(), "{end}");
    }
}

#[test]
#[ignore = "measures: docs/journal/2026-11-22-pod-labels.md"]
fn a_full_node() {
    let padding = format!(r#""spec":{{"containers":[{{"env":[{{"name":"A","value":"{}"}}]}}]}}"#, "x".repeat(12 << 10));
    let item = |number| {
        format!(
            r#"{{"metadata":{{"namespace":"serving","name":"chat-{number}","uid":"{number}","labels":{{"app.kubernetes.io/name":"chat",
            "pod-template-hash":"7d9f8b6c5","team":"ml"}},"annotations":{{"note":"a \"quoted\" one"}},
            "ownerReferences":[{{"kind":"ReplicaSet","name":"chat-7d9f8b6c5","controller":true}}]}},{padding}}}"#
        )
    };
    let list = format!(r#"{{"items":[{}]}}"#, (0..500).map(item).collect::<Vec<_>>().join(","));
    let times = (0..20).map(|_| {
        let began = std::time::Instant::now();
        assert_eq!(list::read(list.as_bytes(), &keys(&["name"])).unwrap().len(), 500);
        began.elapsed()
    });
    let mut times: Vec<_> = times.collect();
    times.sort();
    println!("500 pods, {} bytes: {:?} (median of 20), {:?} at most", list.len(), times[10], times[19]);
}
