//! Which container and which pod a process is in, by the path of its cgroup. Pure: a process's /proc/PID/cgroup goes in.
//!
//! Every runtime names a container's cgroup after its id, and the kubelet one above it after the pod's uid; how is the matter
//! of the cgroup driver. The innermost names count: a node that is itself a container (kind, minikube) has its own above them.
//! Seen from a cgroup namespace (the agent's, in a pod) a path begins with `/..`, which changes nothing here.
//!
//! What the container and the pod are called is not in there: see [`super::workload`].

use std::fmt;
use std::sync::Arc;

/// Hexadecimal digits of a container's id.
const ID_DIGITS: usize = 64;
/// Digits of it that people and tools use.
const SHORT_DIGITS: usize = 12;
/// Digits of a pod's uid, without dashes; a static pod's has none, being a hash of its manifest.
const UID_DIGITS: usize = 32;

/// A container's id, 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Arc<str>);

/// A pod's uid as the API server knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodUid(Arc<str>);

/// What a process is enclosed in. On the host itself in nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enclosed {
    /// The container.
    pub container: Option<ContainerId>,
    /// The pod that the container belongs to.
    pub pod: Option<PodUid>,
}

impl ContainerId {
    /// An id in full length.
    #[must_use]
    pub fn parse(text: &str) -> Option<ContainerId> {
        let is_id = text.len() == ID_DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_id.then(|| ContainerId(text.into()))
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits that people and tools use.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..SHORT_DIGITS).unwrap_or(&self.0)
    }
}

impl PodUid {
    /// A uid, whose dashes the systemd driver writes as underscores.
    fn parse(text: &str) -> Option<PodUid> {
        let uid = text.replace('_', "-");
        let digits = uid.bytes().filter(|digit| digit.is_ascii_hexdigit()).count();
        let dashes = uid.bytes().filter(|dash| *dash == b'-').count();
        let is_uid = digits == UID_DIGITS && matches!(dashes, 0 | 4) && digits.saturating_add(dashes) == uid.len();
        is_uid.then(|| PodUid(uid.into()))
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Enclosed {
    /// What the lines of /proc/PID/cgroup say: one of `0::PATH` (v2), or one for each hierarchy (v1), of which some may be
    /// outside: a process is where any of them says, and the one that names a pod says most.
    #[must_use]
    pub fn parse(cgroups: &str) -> Enclosed {
        let paths = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let (in_pods, others): (Vec<_>, Vec<_>) = paths.map(of_path).partition(|enclosed| enclosed.pod.is_some());
        let mut all = in_pods.into_iter().chain(others);
        all.find(|enclosed| enclosed.container.is_some()).unwrap_or_default()
    }
}

/// The innermost pod, and the container in it; outside of pods the innermost container.
fn of_path(path: &str) -> Enclosed {
    let names: Vec<&str> = path.split('/').collect();
    let innermost = names.iter().enumerate().rev().find_map(|(at, name)| Some((at, pod(name)?)));
    match innermost {
        // What a container in a pod contains is its own business: the kubelet knows the outer one.
        Some((at, pod)) => {
            Enclosed { container: names.iter().skip(at).find_map(|name| container(name)), pod: Some(pod) }
        }
        None => Enclosed { container: names.iter().rev().find_map(|name| container(name)), pod: None },
    }
}

/// The id in the name of a container's cgroup: `ID`, `RUNTIME-ID`, `RUNTIME-ID.scope` or `SLICE:RUNTIME:ID`.
fn container(name: &str) -> Option<ContainerId> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let name = name.rsplit(':').next()?;
    let (runtime, id) = name.rsplit_once('-').unwrap_or(("", name));
    // The process that watches over a container has a cgroup of its own, with the container's id in its name.
    if runtime.ends_with("conmon") {
        return None;
    }
    ContainerId::parse(id)
}

/// The uid in the name of a pod's cgroup: `podUID`, `kubepods-QOS-podUID.slice`, or that in front of `:RUNTIME:ID`.
fn pod(name: &str) -> Option<PodUid> {
    let name = name.split(':').next()?;
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let (_, uid) = name.rsplit_once("pod")?;
    PodUid::parse(uid)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    /// One process a section: a title, what it is in, and the lines of its /proc/PID/cgroup.
    const TREES: &str = include_str!("testdata/cgroups.txt");

    #[test]
    fn trees_of_runtimes_and_drivers() {
        let mut sections = 0;
        for section in TREES.split("\n\n").filter(|section| !section.starts_with("//")) {
            let (title, rest) = section.split_once('\n').unwrap();
            let (expected, cgroups) = rest.split_once('\n').unwrap_or((rest, ""));
            let Enclosed { container, pod } = Enclosed::parse(cgroups);
            let short = container.as_ref().map_or("none", ContainerId::short);
            let pod = pod.as_ref().map_or("none", PodUid::as_str);
            assert_eq!(format!("container {short} pod {pod}"), expected, "{title}");
            sections += 1;
        }
        assert!(sections >= 25, "{sections}");
    }

    #[test]
    fn names_that_only_look_like_it() {
        let id = "0123456789abcdef".repeat(4);
        for path in [
            "/podium/podcast".to_owned(),
            "/kubepods/podnot-a-uid".to_owned(),
            format!("/{}", id.get(1..).unwrap()),
            format!("/{id}0"),
            format!("/machine.slice/libpod-conmon-{id}.scope"),
            format!("/machine.slice/machine-libpod_pod_{id}.slice"),
            String::new(),
        ] {
            assert_eq!(Enclosed::parse(&format!("0::{path}")), Enclosed::default(), "{path}");
        }
        assert_eq!(Enclosed::parse("nothing of the kind"), Enclosed::default());
    }

    #[test]
    fn an_id_has_a_short_form() {
        let id = ContainerId::parse(&"0123456789abcdef".repeat(4)).unwrap();
        assert_eq!((id.short(), id.to_string().len()), ("0123456789ab", 64));
        assert!(ContainerId::parse("0123456789ab").is_none());
    }
}
