//! Who a server is, beyond its name: process, container, pod, port. Read once, when the server is found.
//!
//! Never its arguments or its environment: they may hold credentials.

use super::container::Enclosed;
use super::process::Process;
use crate::event::Tgid;

/// Options with which servers send spans of their own, and how their value begins.
const OWN_SPANS: &[(&str, &str)] = &[("--otlp-traces-endpoint", ""), ("--trace-config", "mode=opentelemetry")];

/// A server's process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The process at the top of the server.
    pub root: u32,
    /// Last part of the path of its program.
    pub executable: String,
    /// The version of the server's program, once it has loaded enough of it to tell.
    pub version: Option<String>,
    /// The port that clients reach it at, where its command line says it.
    pub port: Option<u16>,
    /// What it runs in.
    pub enclosed: Enclosed,
    /// It sends spans of its own.
    pub own_spans: bool,
}

impl Identity {
    /// What a process of it tells, and where the program of the one at its top lies.
    #[must_use]
    pub fn new(process: &Process, enclosed: &Enclosed, (root, program): (Tgid, &str), port: Option<u16>) -> Identity {
        Identity {
            root: root.0,
            executable: program.rsplit('/').next().unwrap_or_default().to_owned(),
            version: None,
            port,
            enclosed: enclosed.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let process = Process { argv, exe: "/opt/vllm-rs".to_owned(), ..Process::default() };
        let top = (Tgid(7), "/usr/bin/python3.12");
        let identity = Identity::new(&process, &Enclosed::default(), top, Some(8000));
        assert!(identity.own_spans);
        assert_eq!((identity.executable.as_str(), identity.root, identity.port), ("python3.12", 7, Some(8000)));
    }
}
