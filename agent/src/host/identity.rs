//! Who a server is, beyond its name: process, container, pod, port. Read once, when the server is found.
//!
//! Never its arguments or its environment: they may hold credentials.

use super::process::Process;
use std::fs;

/// Options with which servers send spans of their own, and how their value begins.
const OWN_SPANS: &[(&str, &str)] = &[("--otlp-traces-endpoint", ""), ("--trace-config", "mode=opentelemetry")];
/// Digits of a container's id, and of a pod's with its dashes.
const CONTAINER_DIGITS: usize = 64;
const POD_DIGITS: usize = 36;

/// A server's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process at the top of the server.
    pub root: u32,
    /// Last part of its executable's path.
    pub executable: String,
    /// The version of the server's program, once it has loaded enough of it to tell.
    pub version: Option<String>,
    /// The port that clients reach it at, where its command line says it.
    pub port: Option<u16>,
    /// Its container's id.
    pub container: Option<String>,
    /// Its pod's uid.
    pub pod: Option<String>,
    /// It sends spans of its own.
    pub own_spans: bool,
}

impl Identity {
    /// Reads it. What cannot be read is absent.
    #[must_use]
    pub fn read(process: &Process, root: u32, port: Option<u16>) -> Identity {
        let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", process.tgid.0)).unwrap_or_default();
        Identity {
            root,
            executable: process.exe.rsplit('/').next().unwrap_or_default().to_owned(),
            version: None,
            port,
            container: container(&cgroups),
            pod: pod(&cgroups),
            own_spans: sends_spans(&process.argv),
        }
    }
}

/// Whether a server was told to send spans of its own. vLLM takes underscores for dashes, too.
fn sends_spans(argv: &[String]) -> bool {
    let behind = argv.iter().skip(1).map(String::as_str).chain([""]);
    argv.iter().zip(behind).any(|(argument, next)| {
        let (option, value) = argument.split_once('=').unwrap_or((argument, next));
        let option = option.replace('_', "-");
        OWN_SPANS.iter().any(|(known, begin)| option == *known && value.starts_with(begin))
    })
}

/// The container's id in the lines of /proc/PID/cgroup: the last word of 64 hexadecimal digits.
fn container(cgroups: &str) -> Option<String> {
    let is_digit = |c: char| c.is_ascii_hexdigit();
    let mut words = cgroups.split(|c: char| !is_digit(c));
    words.rfind(|word| word.len() == CONTAINER_DIGITS).map(str::to_owned)
}

/// The pod's uid: behind `pod`, its dashes perhaps written as underscores.
fn pod(cgroups: &str) -> Option<String> {
    let uid = |rest: &str| {
        let uid = rest.get(..POD_DIGITS)?.replace('_', "-");
        let sound = uid.chars().all(|c| c.is_ascii_hexdigit() || c == '-') && uid.matches('-').count() == 4;
        sound.then_some(uid)
    };
    cgroups.match_indices("pod").find_map(|(at, word)| uid(cgroups.get(at + word.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_and_pods() {
        let uid = "2d3f8b5a-7c0e-4a51-9d5e-0a1b2c3d4e5f";
        for (cgroups, expected) in [
            ("0::/user.slice/user-0.slice/session-1.scope\n".to_owned(), (None, None)),
            (format!("0::/system.slice/docker-{ID}.scope\n"), (Some(ID), None)),
            (format!("0::/docker/{ID}\n"), (Some(ID), None)),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope\n",
                    uid.replace('-', "_")
                ),
                (Some(ID), Some(uid)),
            ),
            (format!("11:cpu:/kubepods/besteffort/pod{uid}/{ID}\n0::/\n"), (Some(ID), Some(uid))),
            ("0::/podium/podcast\n".to_owned(), (None, None)),
        ] {
            assert_eq!((container(&cgroups).as_deref(), pod(&cgroups).as_deref()), expected, "{cgroups}");
        }
    }

    #[test]
    fn who_sends_spans_itself() {
        let sends = |line: &str| sends_spans(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for (line, expected) in [
            ("vllm serve m --otlp-traces-endpoint=http://c:4317", true),
            ("vllm serve m --otlp_traces_endpoint http://c:4317", true),
            ("tritonserver --trace-config=mode=opentelemetry", true),
            ("tritonserver --trace-config level=TIMESTAMPS --trace-config mode=opentelemetry", true),
            ("tritonserver --trace-config=mode=triton --trace-config", false),
            ("vllm serve m", false),
        ] {
            assert_eq!(sends(line), expected, "{line}");
        }
    }

    #[test]
    fn what_a_process_tells_of_itself() {
        let argv = ["vllm", "serve", "--otlp-traces-endpoint=http://c:4317"].map(str::to_owned).to_vec();
        let process = Process { argv, exe: "/usr/bin/python3.12".to_owned(), ..Process::default() };
        let identity = Identity::read(&process, 7, Some(8000));
        assert!(identity.own_spans);
        assert_eq!((identity.executable.as_str(), identity.root, identity.port), ("python3.12", 7, Some(8000)));
    }
}
