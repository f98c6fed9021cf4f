//! Resources: who the numbers and spans are about. Each observed server is one, the agent and its host another.
//!
//! External labels and configured attributes are on all of them. What is configured wins, but `service.name`,
//! `service.instance.id` and `service.version` say who the agent is, never who a server is.

use super::attribute::{name_of, number, text};
use crate::config::Config;
use crate::host::container::Enclosed;
use crate::host::identity::Identity;
use crate::host::machine::Machine;
use crate::host::metadata::{Described, Metadata, Owner as Controller};
use crate::metric::{labelled, sanitised};
use crate::servers::ServerState;
use crate::service::{Pod, Service, Workload};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::LabelPair;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Servers that are remembered; beyond it, those that have ended are forgotten. Their last numbers lose their process then.
const SERVERS: usize = 1024;

/// Configured attributes of the agent alone.
const OWN: [&str; 3] = ["service.name", "service.instance.id", "service.version"];

/// Controllers that have an attribute of their own.
pub(super) const CONTROLLERS: [(&str, &str); 6] = [
    ("DaemonSet", "k8s.daemonset.name"),
    ("Deployment", "k8s.deployment.name"),
    ("Job", "k8s.job.name"),
    ("ReplicaSet", "k8s.replicaset.name"),
    ("ReplicationController", "k8s.replicationcontroller.name"),
    ("StatefulSet", "k8s.statefulset.name"),
];

/// A server, as its series name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its engine.
    pub engine: String,
    /// The server.
    pub service: Service,
}

/// Everything that resources are made of.
#[derive(Clone, Debug)]
pub struct Resources {
    machine: Machine,
    external: BTreeMap<String, String>,
    configured: BTreeMap<String, String>,
    node: Option<Arc<str>>,
    servers: BTreeMap<Owner, Observed>,
}

/// What is known of a server beyond its name.
#[derive(Clone, Debug)]
struct Observed {
    identity: Identity,
    described: Option<Arc<Described>>,
}

impl Resources {
    /// With no server yet.
    pub fn new(config: &Config, machine: Machine) -> Resources {
        let (external, configured) = (config.labels.0.clone(), config.otlp.resource.0.clone());
        Resources { machine, external, configured, node: None, servers: BTreeMap::new() }
    }

    /// The servers that are there now, and what is known of pods. Servers that have ended are remembered: their last numbers
    /// are still to come.
    pub fn refresh(&mut self, known: &[ServerState], pods: &Metadata) {
        self.node.clone_from(&pods.node);
        let owner =
            |server: &ServerState| Owner { engine: server.process.engine.clone(), service: labelled(&server.service) };
        let observed = |server: &ServerState| {
            let described = match server.service.workload.as_deref() {
                Some(Workload::Pod(pod)) => pods.of(pod, server.identity.enclosed.pod.as_ref()).cloned(),
                Some(Workload::Container(_)) | None => None,
            };
            Observed { identity: server.identity.clone(), described }
        };
        let here: BTreeMap<Owner, Observed> =
            known.iter().rev().map(|server| (owner(server), observed(server))).collect();
        if self.servers.len().saturating_add(here.len()) > SERVERS {
            self.servers.clear();
        }
        self.servers.extend(here);
    }

    /// Whose a series is, and its labels that say something else. External labels are the resource's.
    pub fn split<'l>(&self, labels: &'l [LabelPair]) -> (Option<Owner>, Vec<(&'l str, &'l str)>) {
        let value = |name: &str| labels.iter().find(|label| label.name == name).map(|label| label.value.as_str());
        let owner = value("service")
            .zip(value("engine"))
            .map(|(service, engine)| Owner { engine: engine.to_owned(), service: Service::of_labels(service, value) });
        let is_own = |label: &&LabelPair| {
            let whose = label.name == "service" || Workload::LABELS.contains(&label.name.as_str());
            let says_whose = owner.is_some() && whose;
            // A model that nobody named is absent, not empty.
            !says_whose && !self.external.contains_key(&label.name) && !label.value.is_empty()
        };
        let own = labels.iter().filter(is_own).map(|label| (label.name.as_str(), label.value.as_str())).collect();
        (owner, own)
    }

    /// Tells a server from its successor of the same name; 0 where its process is not known.
    pub fn instance(&self, owner: Option<&Owner>) -> u64 {
        owner.and_then(|owner| self.servers.get(owner)).map_or(0, |observed| u64::from(observed.identity.root))
    }

    /// Whether a server sends spans of its own.
    pub fn has_own_spans(&self, owner: &Owner) -> bool {
        self.servers.get(owner).is_some_and(|observed| observed.identity.own_spans)
    }

    /// The resource of a server, else the agent's.
    pub fn of(&self, owner: Option<&Owner>) -> Resource {
        let mut attributes = self.common();
        let own = match owner {
            Some(owner) => self.server(owner),
            None => self.agent(),
        };
        attributes.extend(own.into_iter().map(|attribute| (attribute.key.clone(), attribute)));
        if owner.is_none() {
            attributes.extend(self.configured(|name| OWN.contains(&name)));
        }
        Resource { attributes: attributes.into_values().collect(), ..Resource::default() }
    }

    fn common(&self) -> BTreeMap<String, KeyValue> {
        let Machine { name, id, arch, boot: _ } = &self.machine;
        let machine = [("host.name", name.as_str()), ("host.id", id), ("host.arch", arch), ("os.type", "linux")];
        let machine = machine.into_iter().filter(|(_, value)| !value.is_empty());
        let machine = machine.chain(self.node.as_deref().map(|node| ("k8s.node.name", node)));
        let external = self.external.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let said = machine.chain(external).map(|(name, value)| (name.to_owned(), text(name, value)));
        said.chain(self.configured(|name| !OWN.contains(&name))).collect()
    }

    fn configured(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, KeyValue)> {
        let wanted = self.configured.iter().filter(move |(name, _)| wanted(name));
        wanted.map(|(name, value)| (name.clone(), text(name, value.as_str())))
    }

    fn agent(&self) -> Vec<KeyValue> {
        vec![
            text("service.name", "inferscope"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", self.instance_id("inferscope")),
            number("process.pid", u64::from(std::process::id())),
        ]
    }

    fn server(&self, owner: &Owner) -> Vec<KeyValue> {
        let Owner { engine, service } = owner;
        let mut attributes = vec![
            text("service.name", &*service.name),
            text("service.instance.id", self.server_id(service)),
            text("gen_ai.provider.name", engine.as_str()),
        ];
        attributes.extend(service.workload.iter().flat_map(|workload| of_workload(workload)));
        let Some(Observed { identity, described }) = self.servers.get(owner) else { return attributes };
        let Identity { root, executable, version, port, enclosed, own_spans: _ } = identity;
        attributes.extend(version.iter().map(|version| text("service.version", version.as_str())));
        attributes.push(number("process.pid", u64::from(*root)));
        if !executable.is_empty() {
            attributes.push(text("process.executable.name", executable.as_str()));
        }
        if let Some(port) = port {
            attributes.push(text("server.address", self.machine.name.as_str()));
            attributes.push(number("server.port", u64::from(*port)));
        }
        let Enclosed { container, pod } = enclosed;
        attributes.extend(container.iter().map(|id| text("container.id", id.as_str())));
        attributes.extend(pod.iter().map(|uid| text("k8s.pod.uid", uid.as_str())));
        attributes.extend(described.iter().flat_map(|described| of_pod(described)));
        attributes
    }

    /// Servers of one name in several containers are as many instances.
    fn server_id(&self, service: &Service) -> String {
        let within = service.labels().fold(String::new(), |path, (_, name)| path + name + "/");
        self.instance_id(&format!("{within}{service}"))
    }

    fn instance_id(&self, service: &str) -> String {
        format!("{}/{service}", self.machine.name)
    }
}

fn of_workload(workload: &Workload) -> Vec<KeyValue> {
    match workload {
        Workload::Pod(Pod { namespace, name, container }) => vec![
            text("k8s.namespace.name", &**namespace),
            text("k8s.pod.name", &**name),
            text("k8s.container.name", &**container),
        ],
        Workload::Container(name) => vec![text("container.name", &**name)],
    }
}

/// Whose a pod is, and its labels.
fn of_pod(described: &Described) -> Vec<KeyValue> {
    let Described { uid: _, controller, deployment, labels } = described;
    let label = |(key, value): (&Arc<str>, &Arc<str>)| text(&format!("k8s.pod.label.{key}"), &*sanitised(value));
    let mut attributes: Vec<KeyValue> = labels.iter().map(label).collect();
    attributes.extend(deployment.iter().map(|name| text("k8s.deployment.name", &*sanitised(name))));
    let Some(Controller { kind, name }) = controller else { return attributes };
    match CONTROLLERS.iter().find(|(known, _)| *known == &**kind) {
        Some((_, attribute)) => attributes.push(text(attribute, &*sanitised(name))),
        None => attributes
            .extend([text(&name_of("owner_kind"), &*sanitised(kind)), text(&name_of("owner_name"), &*sanitised(name))]),
    }
    attributes
}

#[cfg(test)]
mod tests;
