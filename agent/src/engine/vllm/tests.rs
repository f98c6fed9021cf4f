#![allow(clippy::unwrap_used)]

use super::*;
use crate::host::process::Ancestor;

/// `|` separates arguments.
fn process(comm: &str, argv: &str, parent: &str) -> Process {
    let split = |line: &str| line.split('|').filter(|word| !word.is_empty()).map(String::from).collect::<Vec<_>>();
    let ancestors = vec![
        Ancestor { argv: split(parent), ..Ancestor::default() },
        Ancestor { argv: split("/sbin/init|--port|1"), ..Ancestor::default() },
    ];
    Process { comm: comm.into(), argv: split(argv), ancestors, ..Process::default() }
}

/// Comm, arguments, the parent's arguments, and what it is.
type Case = (&'static str, &'static str, &'static str, Option<(Role, &'static str)>);

#[test]
fn sequences_are_of_their_request_only() {
    for sequence in ["cmpl-a-0-afa57659", "cmpl-a-12-afa57659", "0_cmpl-a-0-afa57659", "cmpl-a-0", "cmpl-a", "3_cmpl-a"]
    {
        assert!(is_of(sequence, "cmpl-a"), "{sequence}");
    }
    for sequence in ["cmpl-a-b-0-afa57659", "cmpl-ab-0-afa57659", "_cmpl-a", "x_cmpl-a", "cmpl-a-0-afa5765", "cmpl-a-"]
    {
        assert!(!is_of(sequence, "cmpl-a"), "{sequence}");
    }
    assert!(is_of("chatcmpl-a-afa57659", "chatcmpl-a"));
}

#[test]
fn the_model_is_what_clients_call_it() {
    for (argv, expected) in [
        ("vllm|serve|/models/m|--port|81", Some("/models/m")),
        ("vllm|serve|/models/m|--served-model-name|chat|other", Some("chat")),
        ("python3|-m|vllm.entrypoints.openai.api_server|--model=m", Some("m")),
        ("vllm|serve|--config|m.yaml", None),
    ] {
        assert_eq!(model(&process("vllm", argv, "")).as_deref(), expected, "{argv}");
        assert_eq!(model(&process("VLLM::EngineCor", "VLLM::EngineCore", argv)).as_deref(), expected, "{argv}");
    }
    assert_eq!(model(&process("VLLM::EngineCor", "VLLM::EngineCore", "python3|batch.py")), None);
}

#[test]
fn processes_are_told_apart() {
    use Role::{Frontend, Worker};
    const ENGINE: Role = Role::Engine;
    let serve = "/venv/bin/python|/venv/bin/vllm|serve|m|--port|9000";
    #[rustfmt::skip]
    let cases: &[Case] = &[
        ("vllm", "/venv/bin/python|/venv/bin/vllm|serve|/models/m", "bash", Some((Frontend, "vllm:8000"))),
        ("vllm", serve, "bash", Some((Frontend, "vllm:9000"))),
        ("vllm", "/venv/bin/python3.11|-B|-X|dev|/venv/bin/vllm|serve|m|--port=81", "", Some((Frontend, "vllm:81"))),
        ("vllm", "vllm|serve|m", "", Some((Frontend, "vllm:8000"))),
        ("vllm", "vllm|serve|m|--port", "", Some((Frontend, "vllm:8000"))),
        ("python3", "python3|-m|vllm.entrypoints.openai.api_server|--port|8001", "", Some((Frontend, "vllm:8001"))),
        ("python3", "python3|-m|vllm.entrypoints.cli.main|serve|m", "", Some((Frontend, "vllm:8000"))),
        ("python3", "python3|/opt/vllm/entrypoints/openai/api_server.py", "", Some((Frontend, "vllm:8000"))),
        ("VLLM::APIServer", "VLLM::APIServer_0      ", serve, Some((Frontend, "vllm:9000"))),
        ("VLLM::EngineCor", "VLLM::EngineCore    ", serve, Some((ENGINE, "vllm:9000"))),
        ("VLLM::EngineCor", "VLLM::EngineCore_DP1", "python3|batch.py", Some((ENGINE, "vllm:offline"))),
        ("VLLM::Worker", "VLLM::Worker_TP0  ", serve, Some((Worker, "vllm:9000"))),
        ("VLLM::EngineCor", "", serve, Some((ENGINE, "vllm:9000"))),
        ("vllm-rs", "/venv/lib/vllm/vllm-rs|frontend|--listen-fd|3", serve, Some((Frontend, "vllm:9000"))),
        ("sh", "sh|-c|vllm serve m", "", None),
        ("bash", "bash|-c|exec vllm serve m --port 1", "", None),
        ("timeout", "timeout|60|vllm|serve|m", "", None),
        ("docker", "docker|run|vllm/vllm-openai|vllm|serve|m", "", None),
        ("python", "python|-c|from vllm import serve", "", None),
        ("python", "python|-B|-c|from multiprocessing.resource_tracker import main;main(32)", serve, None),
        ("python", "python|-c|from multiprocessing.spawn import spawn_main; spawn_main()|--multiprocessing-fork", serve, None),
        ("vllm", "/venv/bin/python|/venv/bin/vllm|bench|serve", "", None),
        ("vllm", "vllm|chat", "", None),
        ("python", "python|-m|vllm.entrypoints.cli.main|bench", "", None),
        ("python", "python|client.py|vllm|serve", "", None),
        ("python", "python", "", None),
        ("kthreadd", "", "", None),
    ];
    for (comm, argv, parent, expected) in cases {
        let found = Vllm.matches(&process(comm, argv, parent));
        let found = found.as_ref().map(|found| (found.role, found.service.as_deref().unwrap()));
        assert_eq!(found, *expected, "{comm} {argv}");
    }
}

#[test]
fn evidence_is_a_sentence() {
    let evidence = |comm, argv| Vllm.matches(&process(comm, argv, "")).unwrap().evidence;
    assert_eq!(evidence("vllm", "python|/venv/bin/vllm|serve"), "argv contains `vllm serve`");
    assert_eq!(evidence("VLLM::Worker", "VLLM::Worker   "), "it calls itself `VLLM::Worker`");
}

#[test]
fn only_the_python_front_end_has_the_syscall_hook() {
    let hooked = |argv| {
        let targets = Vllm.hooks(&process("", argv, ""));
        targets.iter().any(|target| target.hooks.contains(&Hook::SyscallClose))
    };
    assert!(hooked("vllm|serve"));
    assert!(hooked("VLLM::APIServer_1"));
    assert!(!hooked("vllm-rs|frontend"));
}
