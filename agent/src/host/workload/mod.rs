//! What the container is called that a server runs in, and its pod: what labels say of where a server is.
//!
//! Read from names of files on the host, once for each server: a container never changes its name. Asks no API server and no
//! runtime, needs no token, and opens nothing that a container wrote. What has no name here goes by the container's id.

mod engine;
mod kubelet;

use super::container::{ContainerId, Enclosed};
use crate::service::Workload;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

/// Entries of a folder that are looked at; a node has some hundred containers.
const MAX_ENTRIES: usize = 65_536;

/// Where names are found on this host.
#[derive(Clone, Debug)]
pub struct Names {
    /// The kubelet's folder of links to containers' logs; empty where it is not to be read.
    links: PathBuf,
    docker: PathBuf,
    podman: PathBuf,
}

/// Why no pod has a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNames {
    /// The configuration says so.
    #[error("the folder is not to be read")]
    Off,
    /// There is no such folder: no kubelet runs here, or its folder is not mounted.
    #[error("there is no {0}")]
    Absent(String),
    /// It cannot be listed.
    #[error("{0}")]
    Unreadable(String),
}

impl Names {
    /// `links` is the kubelet's folder of links to containers' logs.
    #[must_use]
    pub fn new(links: &str) -> Names {
        Names::under(Path::new("/"), links)
    }

    /// The same on a host whose files are below `root`.
    fn under(root: &Path, links: &str) -> Names {
        let links = if links.is_empty() { PathBuf::new() } else { root.join(links.trim_start_matches('/')) };
        Names { links, docker: root.join(engine::DOCKER), podman: root.join(engine::PODMAN) }
    }

    /// Where a process is that is enclosed so; `None` on the host itself.
    #[must_use]
    pub fn of(&self, enclosed: &Enclosed) -> Option<Workload> {
        let id = enclosed.container.as_ref()?;
        // Also without a pod's uid: a cgroup namespace may hide it.
        if let Some(pod) = kubelet::pod(&self.links, id) {
            return Some(Workload::Pod(pod));
        }
        let name = if enclosed.pod.is_some() { None } else { self.outside(id) };
        Some(Workload::Container(name.unwrap_or_else(|| id.short().into())))
    }

    fn outside(&self, id: &ContainerId) -> Option<Arc<str>> {
        engine::docker(&self.docker, id).or_else(|| engine::podman(&self.podman, id))
    }

    /// How many links there are.
    ///
    /// # Errors
    /// With the reason why there are none.
    pub fn count(&self) -> Result<usize, NoNames> {
        if self.links.as_os_str().is_empty() {
            return Err(NoNames::Off);
        }
        let entries = fs::read_dir(&self.links).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NoNames::Absent(self.links.display().to_string()),
            _ => NoNames::Unreadable(format!("{}: {error}", self.links.display())),
        })?;
        Ok(entries.take(MAX_ENTRIES).count())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const POD: &str = "0::/kubepods/burstable/pod2d3f8b5a-7c0e-4a51-9d5e-0a1b2c3d4e5f/";

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    /// A host with a pod's container `a`, docker's `d` and podman's `b`.
    fn host(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("inferscope-workload-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let links = root.join("var/log/containers");
        fs::create_dir_all(&links).unwrap();
        let link = links.join(format!("chat-7d9f_serving_vllm-{}.log", id('a')));
        std::os::unix::fs::symlink("/var/log/pods/not/mounted.log", link).unwrap();
        let docker = root.join(engine::DOCKER).join(id('d'));
        fs::create_dir_all(&docker).unwrap();
        let config = r#"{"ID":"x","Config":{"Env":["TOKEN=secret"]},"Name":"/image-server","State":{}}"#;
        fs::write(docker.join("config.v2.json"), config).unwrap();
        let podman = root.join(engine::PODMAN);
        fs::create_dir_all(podman.parent().unwrap()).unwrap();
        fs::write(podman, format!(r#"[{{"id":"{}","names":["pod-server"],"layer":"y"}}]"#, id('b'))).unwrap();
        root
    }

    #[test]
    fn containers_have_the_names_that_their_files_have() {
        let root = host("names");
        let names = Names::under(&root, "/var/log/containers");
        let of = |cgroups: String| names.of(&Enclosed::parse(&cgroups)).map(|workload| workload.to_string());
        for (cgroups, expected) in [
            (format!("{POD}{}", id('a')), Some("container vllm of pod serving/chat-7d9f")),
            (format!("0::/../cri-containerd-{}.scope", id('a')), Some("container vllm of pod serving/chat-7d9f")),
            (format!("{POD}{}", id('f')), Some("container ffffffffffff")),
            (format!("0::/docker/{}", id('d')), Some("container image-server")),
            (format!("0::/machine.slice/libpod-{}.scope", id('b')), Some("container pod-server")),
            (format!("0::/docker/{}", id('e')), Some("container eeeeeeeeeeee")),
            ("0::/system.slice/vllm.service".to_owned(), None),
        ] {
            assert_eq!(of(cgroups.clone()).as_deref(), expected, "{cgroups}");
        }
        assert_eq!(names.count(), Ok(1));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn without_its_folder_a_pod_has_no_name() {
        let root = host("folderless");
        let absent = NoNames::Absent(root.join("var/log/elsewhere").display().to_string());
        for (links, why) in [("", NoNames::Off), ("/var/log/elsewhere", absent)] {
            let names = Names::under(&root, links);
            let enclosed = Enclosed::parse(&format!("{POD}{}", id('a')));
            assert_eq!(names.of(&enclosed), Some(Workload::Container("aaaaaaaaaaaa".into())));
            assert_eq!(names.count(), Err(why));
        }
        fs::remove_dir_all(root).unwrap();
    }
}
