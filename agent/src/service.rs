//! How a server is called, and where it runs: together what tells its metrics and requests from another's.
//!
//! Two pods on a node may both run a `vllm:8000`: the name alone would make one server of them. Plain data; who finds it out
//! is [`crate::host::discover`].

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A server's name, and where it runs. Reads as the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// Label value: configured, or derived by its engine.
    pub name: Arc<str>,
    /// Absent where it runs in no container.
    pub workload: Option<Arc<Workload>>,
}

/// The container that a server runs in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// A container of a pod.
    Pod(Pod),
    /// A container outside of Kubernetes, or of a pod whose name is not known: its name, else the short form of its id.
    Container(Arc<str>),
}

/// A container of a pod, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's name.
    pub name: Arc<str>,
    /// The container's name in the pod.
    pub container: Arc<str>,
}

impl Service {
    /// The labels that say where it runs.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        self.workload.iter().flat_map(|workload| workload.labels())
    }

    /// The service that these labels are of; what [`Service::labels`] says, read back.
    pub fn of_labels<'l>(name: &str, value: impl Fn(&str) -> Option<&'l str>) -> Service {
        let pod = |[namespace, pod, container]: [&str; 3]| {
            let (namespace, name, container) = (value(namespace)?.into(), value(pod)?.into(), value(container)?.into());
            Some(Workload::Pod(Pod { namespace, name, container }))
        };
        let [inside @ .., outside] = Workload::LABELS;
        let workload = pod(inside).or_else(|| value(outside).map(|name| Workload::Container(name.into())));
        Service { name: name.into(), workload: workload.map(Arc::new) }
    }
}

impl Workload {
    /// Names of all labels that say where something runs: of a pod the first three, else the last.
    pub const LABELS: [&str; 4] = ["k8s_namespace", "k8s_pod", "k8s_container", "container"];

    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        let [inside @ .., outside] = Workload::LABELS;
        let (pod, container) = match self {
            Workload::Pod(Pod { namespace, name, container }) => (Some([namespace, name, container]), None),
            Workload::Container(name) => (None, Some((outside, name))),
        };
        pod.into_iter().flat_map(move |names| inside.into_iter().zip(names)).chain(container)
    }
}

impl Deref for Service {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}

impl From<&str> for Service {
    fn from(name: &str) -> Service {
        Service { name: name.into(), workload: None }
    }
}

impl From<String> for Service {
    fn from(name: String) -> Service {
        name.as_str().into()
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workload::Pod(Pod { namespace, name, container }) => {
                write!(f, "container {container} of pod {namespace}/{name}")
            }
            Workload::Container(name) => write!(f, "container {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_back() {
        let pod = Pod { namespace: "serving".into(), name: "chat-0".into(), container: "vllm".into() };
        for (workload, labels) in [
            (None, &[][..]),
            (Some(Workload::Container("images".into())), &[("container", "images")]),
            (
                Some(Workload::Pod(pod)),
                &[("k8s_namespace", "serving"), ("k8s_pod", "chat-0"), ("k8s_container", "vllm")],
            ),
        ] {
            let service = Service { name: "vllm:8000".into(), workload: workload.map(Arc::new) };
            let said: Vec<(&str, &str)> = service.labels().map(|(name, value)| (name, &**value)).collect();
            assert_eq!(said, labels);
            let value = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
            assert_eq!(Service::of_labels("vllm:8000", value), service);
        }
    }
}
