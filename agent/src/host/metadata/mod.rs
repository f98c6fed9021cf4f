//! Labels and owners of this node's pods, as the kubelet or the API server says, where the configuration wants them. Pure:
//! [`list`] reads what is said, [`source`] asks.
//!
//! Of a pod nothing is kept but its names, who controls it, and the labels that the configuration lists.

pub mod list;
pub mod source;
#[cfg(test)]
mod tests;

use super::container::PodUid;
use crate::service::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of the pods of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Their node, where its name is known.
    pub node: Option<Arc<str>>,
    /// By namespace and name.
    pods: BTreeMap<(Arc<str>, Arc<str>), Arc<Described>>,
}

/// What is known of a pod beyond its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// Its uid, "" where it was not said.
    pub uid: Arc<str>,
    /// Who made it and replaces it; nobody, where it was made by hand.
    pub controller: Option<Owner>,
    /// Its deployment, where its labels prove that this made the controller.
    pub deployment: Option<Arc<str>>,
    /// Those of its labels that are wanted, by their keys.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// A controller of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// ReplicaSet, StatefulSet, DaemonSet, Job, …; Node, of pods that the kubelet makes by itself.
    pub kind: Arc<str>,
    /// Its name; it is in the pod's namespace.
    pub name: Arc<str>,
}

impl Metadata {
    /// What is known of a pod. One that has its name and another uid was there before, or will be; only of pods that the
    /// kubelet makes by itself the API server has a uid of its own.
    #[must_use]
    pub fn of(&self, pod: &Pod, uid: Option<&PodUid>) -> Option<&Arc<Described>> {
        let described = self.pods.get(&(Arc::clone(&pod.namespace), Arc::clone(&pod.name)))?;
        let is_same = uid.is_none_or(|uid| described.uid.is_empty() || uid.as_str() == &*described.uid);
        (is_same || described.is_static()).then_some(described)
    }

    /// How many pods there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }
}

impl Described {
    /// Who is to be named as its owner: its deployment, else its controller.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        let deployment =
            self.deployment.as_ref().map(|name| Owner { kind: "Deployment".into(), name: Arc::clone(name) });
        deployment.or_else(|| self.controller.clone())
    }

    fn is_static(&self) -> bool {
        self.controller.as_ref().is_some_and(|controller| &*controller.kind == "Node")
    }
}
