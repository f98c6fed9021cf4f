//! What the agent's account may do: nothing, or the one thing that labels and owners of pods need.

use crate::chart::{self, only, render, template};
use inferscope::config::{Config, PodSource};
use serde_json::{Value, json};

const API: &str = "--set=pods.metadata.source=api";
const KUBELET: &str = "--set=pods.metadata.source=kubelet";
const PROXY: &str = "--set=pods.metadata.source=kubelet,pods.metadata.nodesProxy=true";

fn configured(objects: &[Value]) -> Config {
    let map = objects.iter().find(|object| !object["data"]["inferscope.yaml"].is_null()).expect("a ConfigMap");
    Config::parse("chart", map["data"]["inferscope.yaml"].as_str().expect("text")).expect("the agent reads it")
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn each_source_has_exactly_the_right_that_it_needs() {
    for (values, resource, verb) in
        [(API, "pods", "list"), (KUBELET, "nodes/pods", "get"), (PROXY, "nodes/proxy", "get")]
    {
        let objects = render(&[values]);
        let role = only(&objects, "ClusterRole");
        assert_eq!(role["rules"], json!([{"apiGroups": [""], "resources": [resource], "verbs": [verb]}]), "{values}");
        let binding = only(&objects, "ClusterRoleBinding");
        assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
        let account = json!([{"kind": "ServiceAccount", "name": "inferscope", "namespace": chart::NAMESPACE}]);
        assert_eq!(binding["subjects"], account);
        assert!(objects.iter().all(|object| !["Role", "RoleBinding"].iter().any(|kind| object["kind"] == **kind)));
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn the_agent_finds_whom_it_asks_and_its_token() {
    for (values, source, variables) in [
        (&[][..], PodSource::None, &["NODE_NAME"][..]),
        (&[API], PodSource::Api, &["NODE_NAME"]),
        (&[KUBELET], PodSource::Kubelet, &["NODE_NAME", "NODE_IP"]),
    ] {
        let objects = render(values);
        let config = configured(&objects).pods.metadata;
        assert_eq!(config.source, source);
        let pod = &only(&objects, "DaemonSet")["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let environment = container["env"].as_array().into_iter().flatten();
        let from_pod = environment.filter(|variable| !variable["valueFrom"]["fieldRef"].is_null());
        let named: Vec<_> = from_pod.filter_map(|variable| variable["name"].as_str()).collect();
        assert_eq!(named, variables);
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        let account: Vec<_> = mounts.filter(|mount| mount["name"] == "account").collect();
        if source == PodSource::None {
            assert!(account.is_empty());
            continue;
        }
        let folder = account[0]["mountPath"].as_str().expect("a path");
        assert_eq!((config.token, config.ca), (format!("{folder}/token"), format!("{folder}/ca.crt")));
        assert_eq!(account[0]["readOnly"], true);
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn a_policy_for_what_goes_out_lets_it_ask() {
    let egress = r#"--set-json=networkPolicy={"enabled":true,"egress":[{"ports":[{"port":4317,"protocol":"TCP"}]}]}"#;
    for (values, ports) in [
        (&[egress][..], json!([4317])),
        (&[egress, KUBELET], json!([4317, 10250])),
        (&[egress, API], json!([4317, 443, 6443])),
    ] {
        let objects = render(values);
        let rules = only(&objects, "NetworkPolicy")["spec"]["egress"].as_array().expect("rules").clone();
        let open = rules.iter().flat_map(|rule| rule["ports"].as_array().cloned().unwrap_or_default());
        assert_eq!(Value::from(open.map(|port| port["port"].clone()).collect::<Vec<_>>()), ports);
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn what_would_give_too_much_or_nothing_is_refused() {
    for (values, reason) in [
        (&[KUBELET, "--kube-version=1.32.9"][..], "needs Kubernetes 1.33"),
        (&[API, "--set=serviceAccount.create=false"], "every pod with the namespace's default account"),
        (&["--set=config.pods.metadata.source=api"], "say pods.metadata.source instead"),
        (&["--set=pods.metadata.source=apiserver"], "/pods/metadata/source"),
    ] {
        let output = template(values).output().expect("helm runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(reason), "{values:?}: {errors}");
    }
    // The right of a newer cluster, also where its version is a vendor's.
    render(&[KUBELET, "--kube-version=v1.33.1-gke.100"]);
}
