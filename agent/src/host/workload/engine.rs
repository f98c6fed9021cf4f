//! Names of containers outside of Kubernetes, from what docker and podman write of them.
//!
//! Docker's file holds the container's environment, too: of it only the name is kept, and no more than this is read of files.

use super::super::container::ContainerId;
use serde::Deserialize;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Docker's folder of containers.
pub(super) const DOCKER: &str = "var/lib/docker/containers";
/// Podman's list of containers.
pub(super) const PODMAN: &str = "var/lib/containers/storage/overlay-containers/containers.json";

/// Bytes of a file that are read.
const MAX_BYTES: u64 = 4 << 20;

#[derive(Deserialize)]
struct Docker {
    #[serde(rename = "Name")]
    name: String,
}

#[derive(Deserialize)]
struct Podman {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

/// The name of one of docker's.
pub(super) fn docker(folder: &Path, id: &ContainerId) -> Option<Arc<str>> {
    let text = read(&folder.join(id.as_str()).join("config.v2.json"))?;
    let Docker { name } = serde_json::from_slice(&text).ok()?;
    named(name.trim_start_matches('/'))
}

/// The name of one of podman's.
pub(super) fn podman(file: &Path, id: &ContainerId) -> Option<Arc<str>> {
    let containers: Vec<Podman> = serde_json::from_slice(&read(file)?).ok()?;
    let container = containers.into_iter().find(|container| container.id == id.as_str())?;
    named(container.names.first()?)
}

fn named(name: &str) -> Option<Arc<str>> {
    (!name.is_empty()).then(|| name.into())
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file).ok()?.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}
