//! The pods that servers run in, or that have a GPU: one series for each, with its owner and those of its labels that the
//! configuration lists, to be joined with everything that has `k8s_pod`. On those series themselves they would break every one
//! with each change of a label.

use super::catalog;
use super::family::{Book, Family};
use super::label::sanitised;
use super::sink::{Metrics, gauge};
use crate::host::container::PodUid;
use crate::host::metadata::{Described, Metadata};
use crate::service::{Pod, Workload};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How labels of pods begin, as with kube-state-metrics.
pub const POD_LABEL: &str = "label_";

/// The label that one of a pod is in Prometheus, as with kube-state-metrics: `label_app_kubernetes_io_name`.
#[must_use]
pub fn pod_label(key: &str) -> String {
    let mut label = POD_LABEL.to_owned();
    let mut before = ' ';
    for c in key.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            label.push('_');
        }
        label.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    label
}

/// The families about pods.
pub(super) struct Pods {
    info: Family<About, Gauge>,
    metadata: Mutex<Arc<Metadata>>,
}

/// `inferscope_pod_info`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct About {
    name: Name,
    /// Kind and name.
    owner: Option<(Arc<str>, Arc<str>)>,
    labels: Vec<(String, Arc<str>)>,
}

/// Namespace and name.
type Name = (Arc<str>, Arc<str>);

impl About {
    fn new(pod: &Pod, described: &Described) -> About {
        let owner = described.owner().map(|owner| (sanitised(&owner.kind), sanitised(&owner.name)));
        let labels = described.labels.iter().map(|(key, value)| (pod_label(key), sanitised(value))).collect();
        About { name: name(pod), owner, labels }
    }
}

impl EncodeLabelSet for About {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let About { name: (namespace, pod), owner, labels } = self;
        ("k8s_namespace", &**namespace).encode(encoder.encode_label())?;
        ("k8s_pod", &**pod).encode(encoder.encode_label())?;
        if let Some((kind, name)) = owner {
            ("owner_kind", &**kind).encode(encoder.encode_label())?;
            ("owner_name", &**name).encode(encoder.encode_label())?;
        }
        labels.iter().try_for_each(|(label, value)| (label.as_str(), &**value).encode(encoder.encode_label()))
    }
}

impl Pods {
    pub fn new(book: &mut Book) -> Pods {
        Pods { info: gauge(book, &catalog::POD), metadata: Mutex::default() }
    }

    fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.metadata.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Servers run in these pods, those have devices, and there are still series of servers in the ones that linger.
    fn show(&self, here: &[(Pod, Option<PodUid>)], holders: &[&Pod], lingers: impl Fn(&Name) -> bool) {
        let metadata = self.metadata();
        let names: BTreeSet<Name> = here.iter().map(|(pod, _)| name(pod)).collect();
        // Of a pod with servers the uid is known, and tells it from one of that name before it.
        let others = holders.iter().map(|pod| (*pod, None)).filter(|(pod, _)| !names.contains(&name(pod)));
        let all = here.iter().map(|(pod, uid)| (pod, uid.as_ref())).chain(others);
        let known: BTreeSet<About> =
            all.filter_map(|(pod, uid)| Some(About::new(pod, metadata.of(pod, uid)?))).collect();
        self.info.retain(|about| known.contains(about) || !names.contains(&about.name) && lingers(&about.name));
        for about in &known {
            self.info.with(about, |info| {
                info.set(1);
            });
        }
    }
}

impl Metrics {
    /// This is what is known of the pods of this node, from now on.
    pub fn described(&self, metadata: Arc<Metadata>) {
        *self.pods.metadata.lock().unwrap_or_else(PoisonError::into_inner) = metadata;
    }

    /// What is known of the pods of this node.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.pods.metadata()
    }

    /// The pods that servers run in now, to be shown with those that have devices. Those of servers that ended are shown as
    /// long as the servers' series are.
    pub fn pods(&self, here: &[(Pod, Option<PodUid>)]) {
        let (workloads, holders) = (self.workloads(), self.holders());
        let lingering: BTreeSet<Name> = pods(&workloads).map(name).collect();
        self.pods.show(here, &pods(&holders).collect::<Vec<_>>(), |name| lingering.contains(name));
    }
}

fn pods(workloads: &[Arc<Workload>]) -> impl Iterator<Item = &Pod> {
    workloads.iter().filter_map(|workload| match &**workload {
        Workload::Pod(pod) => Some(pod),
        Workload::Container(_) => None,
    })
}

fn name(pod: &Pod) -> Name {
    (Arc::clone(&pod.namespace), Arc::clone(&pod.name))
}

#[cfg(test)]
mod tests;
