//! Pods that servers run in, or that have a GPU.

use super::{Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const PODS: &[&Metric] = &[&POD];

/// inferscope_pod_info
pub const POD: Metric = Metric {
    name: "inferscope_pod_info",
    // Over OTLP the resources of the servers say it.
    otlp: "",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["k8s_namespace", "k8s_pod", "owner_kind", "owner_name"],
    help: "Always 1: a pod that servers run in, or that has a GPU or MIG instance, with its deployment or other controller, and \
           those of its labels that pods.metadata.labels lists, each as label_ and its key with _ for what is no letter or \
           digit; for joins on k8s_namespace and k8s_pod",
};
