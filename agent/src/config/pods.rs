//! How pods are named, and who is asked what else there is to know of them.

use super::choice::{Certificate, PodSource};
use super::problem::{Path, Problems};
use super::rule::{address, label_key, node_name, within};
use super::setting::{Setting, items, settings};
use super::yaml::Yaml;
use crate::metric::pod_label;
use serde_yaml::Value;
use std::collections::BTreeMap;

/// Labels of pods that can be shown.
const MOST_LABELS: usize = 32;

settings! {
    /// How pods are named.
    Pods {
        /// The kubelet's folder of links to containers' logs, whose names say which container is of which pod (k8s_namespace,
        /// k8s_pod and k8s_container on everything about a server). It is only listed, no log is read. "" to leave it alone.
        links: String = "/var/log/containers".to_owned();
        /// The kubelet's socket that tells which container has which GPU (the same labels on gpu_*), or "" to leave it alone.
        /// Where it is not there, nothing is missed: this is no node of Kubernetes.
        resources: String = "/var/lib/kubelet/pod-resources/kubelet.sock".to_owned();
        /// How often it is asked, in seconds from 1 to 3600.
        resources_seconds: u32 = 10, must within(1..=3600);
        /// Labels and owners of pods (inferscope_pod_info, attributes over OTLP). This needs a right, which the
        /// chart gives with its value of the same name: docs/kubernetes.md.
        metadata: Metadata = Metadata::default();
    }
}

settings! {
    /// Labels and owners of servers' pods.
    Metadata {
        /// Who is asked: none, kubelet (the node's, which tells all of its pods; what is not wanted is passed over), or api
        /// (the API server, which tells no more than the metadata of this node's pods).
        source: PodSource = PodSource::None;
        /// Keys of the labels that are shown, at most 32. Others are passed over where they are read.
        labels: LabelKeys = LabelKeys::default();
        /// Where it is asked; null: https://$NODE_IP:10250 for the kubelet, else
        /// https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT. These variables of the environment may stand in other
        /// addresses, too: a kubelet's port for reading is http://$NODE_IP:10255, where there still is one.
        address: Option<String> = None, must |text: &Option<String>| {
            text.iter().try_for_each(|text| address(text, "https://10.0.0.1:10250"))
        };
        /// The node, for api; null: NODE_NAME of the environment.
        node: Option<String> = None, must |name: &Option<String>| name.iter().try_for_each(|name| node_name(name));
        /// The file with the token, read at each call because it is replaced while it is in use; "" for none. It is never
        /// sent over http.
        token: String = "/var/run/secrets/kubernetes.io/serviceaccount/token".to_owned();
        /// The file with the certificates to trust, in PEM.
        ca: String = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".to_owned();
        /// verified: signed by one of `ca`; unverified: anybody's, for kubelets that made theirs themselves. Whoever
        /// answers at the address in the kubelet's place is then given the token.
        certificate: Certificate = Certificate::Verified;
        /// How often it is asked, in seconds from 5 to 3600. About a container that is new it is asked at once.
        interval_seconds: u32 = 60, must within(5..=3600);
    }
}

/// Keys of labels that become different labels in Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelKeys(pub Vec<String>);

impl Default for LabelKeys {
    fn default() -> Self {
        LabelKeys(["name", "instance", "version"].map(|name| format!("app.kubernetes.io/{name}")).into())
    }
}

impl Setting for LabelKeys {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        let mut listed = Vec::new();
        for (index, value) in items(value, path, problems)?.iter().enumerate() {
            let path = path.index(index);
            let Some(key) = String::read(value, &path, problems) else { continue };
            if let Err(wrong) = label_key(&key) {
                problems.add(&path, wrong);
                continue;
            }
            let label = pod_label(&key);
            if let Some(other) = keys.insert(label.clone(), key.clone()) {
                problems.add(&path, format!("{key} and {other} are both {label} in Prometheus: leave one out"));
            }
            listed.push(key);
        }
        if listed.len() > MOST_LABELS {
            problems.add(path, format!("expected at most {MOST_LABELS} keys, found {}", listed.len()));
        }
        Some(LabelKeys(listed))
    }

    fn write(&self) -> Yaml {
        let quoted = |key: &String| serde_json::Value::from(key.as_str()).to_string();
        Yaml::Flow(self.0.iter().map(quoted).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::config::Config;

    fn problems(settings: &str) -> Vec<String> {
        let parsed = Config::parse("f", &format!("pods: {{metadata: {{{settings}}}}}\n"));
        parsed.err().map(|invalid| invalid.to_string().lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    #[test]
    fn labels_that_cannot_be_shown_are_refused() {
        assert_eq!(problems("labels: [app, a.b/C-d_e, x2]"), [""; 0]);
        let both = "f:1: pods.metadata.labels[1]: a/b and a.b are both label_a_b in Prometheus: leave one out";
        assert_eq!(problems("labels: [a.b, a/b]"), [both]);
        assert_eq!(problems("labels: [team, Team]").len(), 1, "Prometheus' are in lower case");
        for key in ["", "/", "a/", "/a", "a b", "-a", "a-", "é", "a/b/é", "\"{x}\""] {
            let said = problems(&format!("labels: [{key:?}]"));
            assert!(
                said.len() == 1 && said.iter().all(|said| said.contains("expected the key of a label")),
                "{said:?}"
            );
        }
        let many: Vec<String> = (0..33).map(|number| format!("l{number}")).collect();
        assert_eq!(problems(&format!("labels: [{}]", many.join(", "))).len(), 1);
    }

    #[test]
    fn other_settings_are_judged_too() {
        let wrong =
            problems("source: apis, address: \"10.0.0.1\", node: \"n/1\", certificate: no, interval_seconds: 1");
        assert_eq!(wrong.len(), 5, "{wrong:#?}");
        let labels = Config::parse("f", "labels: {label_app: x}").unwrap_err().to_string();
        assert!(labels.contains("labels of pods begin with `label_`"), "{labels}");
    }
}
