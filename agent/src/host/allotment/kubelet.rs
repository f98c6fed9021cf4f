//! The kubelet's PodResources service: one call, `List`, over gRPC on a socket of the host.
//!
//! The messages are the part that is needed of Kubernetes' `staging/src/k8s.io/kubelet/pkg/apis/podresources/v1/api.proto`:
//! fields by their numbers, the others are passed over. It tells pods and their devices by name; containers' ids and pods' uids
//! are not in it.

use super::Allotments;
use crate::host::inquiry::Question;
use hyper::http::uri::PathAndQuery;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

/// From connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read; the kubelet's own clients allow as much.
const ANSWER_BYTES: usize = 16 << 20;

const LIST: &str = "/v1.PodResourcesLister/List";

/// `ListPodResourcesRequest`
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Ask {}

/// `ListPodResourcesResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub struct List {
    /// Every pod on this node.
    #[prost(message, repeated, tag = "1")]
    pub pods: Vec<OfPod>,
}

/// `PodResources`
#[derive(Clone, PartialEq, prost::Message)]
pub struct OfPod {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its namespace.
    #[prost(string, tag = "2")]
    pub namespace: String,
    /// Its containers.
    #[prost(message, repeated, tag = "3")]
    pub containers: Vec<OfContainer>,
}

/// `ContainerResources`
#[derive(Clone, PartialEq, prost::Message)]
pub struct OfContainer {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The devices that it was given.
    #[prost(message, repeated, tag = "2")]
    pub devices: Vec<Devices>,
}

/// `ContainerDevices`
#[derive(Clone, PartialEq, prost::Message)]
pub struct Devices {
    /// What it asked for: `nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, …
    #[prost(string, tag = "1")]
    pub resource: String,
    /// What it got, by the names that the plugin gives.
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such socket: this is no node of Kubernetes, or its socket is not mounted here.
    #[error("there is no {0}")]
    NoSocket(String),
    /// There is one, but nobody answers at it as they should.
    #[error("{0}")]
    Failed(String),
}

/// The kubelet of this host, behind its socket.
#[derive(Clone, Debug)]
pub struct Kubelet(pub PathBuf);

impl Question for Kubelet {
    type Answer = Allotments;
    type Refusal = Refusal;

    async fn ask(&self) -> Result<Allotments, Refusal> {
        list(&self.0).await.map(|list| Allotments::of(&list))
    }
}

/// Asks once. Each time anew: a kubelet that was restarted has another socket.
///
/// # Errors
/// With the reason why there is no answer.
pub(super) async fn list(socket: &Path) -> Result<List, Refusal> {
    if !socket.exists() {
        return Err(Refusal::NoSocket(socket.display().to_string()));
    }
    match tokio::time::timeout(TIMEOUT, ask(socket)).await {
        Ok(Ok(list)) => Ok(list),
        Ok(Err(status)) => Err(Refusal::Failed(format!("{}: {}", socket.display(), reason(&status)))),
        Err(_) => Err(Refusal::Failed(format!("{}: no answer in {} s", socket.display(), TIMEOUT.as_secs()))),
    }
}

async fn ask(socket: &Path) -> Result<List, Status> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
    let channel = endpoint.map_err(|error| Status::from_error(error.into()))?.connect().await;
    let channel = channel.map_err(|error| Status::from_error(error.into()))?;
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let codec: ProstCodec<Ask, List> = ProstCodec::default();
    client.unary(Request::new(Ask {}), PathAndQuery::from_static(LIST), codec).await.map(tonic::Response::into_inner)
}

/// What is at the bottom of it, else what the kubelet said.
fn reason(status: &Status) -> String {
    let mut cause = std::error::Error::source(status);
    let mut deepest = None;
    while let Some(error) = cause {
        deepest = Some(error);
        cause = error.source();
    }
    deepest.map_or_else(|| format!("{:?}: {}", status.code(), status.message()), ToString::to_string)
}
