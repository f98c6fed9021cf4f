//! Pods' names, from the names of the links that the kubelet makes to the logs of the containers that it starts:
//! `POD_NAMESPACE_CONTAINER-ID.log`. None of the three names can hold an underscore.
//!
//! The links are neither followed nor opened. The kubelet cuts names of files longer than 255 bytes, and with them the id: such a
//! container is not found here.

use super::super::container::ContainerId;
use super::MAX_ENTRIES;
use crate::service::Pod;
use std::fs;
use std::path::Path;

/// The container of this id.
pub(super) fn pod(links: &Path, id: &ContainerId) -> Option<Pod> {
    if links.as_os_str().is_empty() {
        return None;
    }
    let entries = fs::read_dir(links).ok()?.take(MAX_ENTRIES);
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).find_map(|name| parse(&name, id))
}

/// What the name of a link says, if it is the one of this id.
fn parse(name: &str, id: &ContainerId) -> Option<Pod> {
    let name = name.strip_suffix(".log")?.strip_suffix(id.as_str())?.strip_suffix('-')?;
    let mut names = name.split('_');
    let (name, namespace, container) = (names.next()?, names.next()?, names.next()?);
    let whole = names.next().is_none() && ![name, namespace, container].contains(&"");
    whole.then(|| Pod { namespace: namespace.into(), name: name.into(), container: container.into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_links() {
        let digits = "0123456789abcdef".repeat(4);
        let id = ContainerId::parse(&digits).unwrap();
        let parsed =
            |name: String| parse(&name, &id).map(|Pod { namespace, name, container }| [namespace, name, container]);
        let pod = |namespace: &str, name: &str, container: &str| Some([namespace, name, container].map(Into::into));
        for (name, expected) in [
            (format!("chat-0_default_vllm-{digits}.log"), pod("default", "chat-0", "vllm")),
            (format!("a.b-c_kube-system_proxy-2-{digits}.log"), pod("kube-system", "a.b-c", "proxy-2")),
            (format!("chat-0_default_vllm-{}.log", "f".repeat(64)), None),
            (format!("chat-0_default_vllm-{digits}"), None),
            (format!("chat-0_default-{digits}.log"), None),
            (format!("chat-0__vllm-{digits}.log"), None),
            (format!("a_b_c_d-{digits}.log"), None),
            (format!("{digits}.log"), None),
        ] {
            assert_eq!(parsed(name.clone()), expected, "{name}");
        }
    }
}
