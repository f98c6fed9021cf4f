//! Triton Inference Server: how its processes are recognised and what is hooked in them.
//!
//! Requests are followed through the server's own C API, so it does not matter whether they came over HTTP, gRPC or from
//! the process itself. Any process that maps `libtritonserver` is such a server; the stubs of its Python backend are
//! children that compute.

mod calls;
mod objects;
#[cfg(test)]
mod tests;

use super::{Engine, Exchange, Match, Role, SOCKETS, TLS, TRITON_BACKEND, TRITON_SERVER, Target, inference, kserve};
use crate::host::process::Process;
use crate::wire::RequestHead;

/// The Triton engine.
pub struct Triton;

/// NVIDIA's own server speaks HTTP and gRPC.
const SERVER: &[Target] = &[SOCKETS, TLS, TRITON_SERVER, TRITON_BACKEND];
/// A program that calls the library itself talks to its clients in its own way.
const EMBEDDED: &[Target] = &[TRITON_SERVER, TRITON_BACKEND];

/// The server's program, in NVIDIA's containers and in PyTriton's wheel.
const PROGRAM: &str = "tritonserver";
/// The program of the Python backend's children.
const STUB: &str = "triton_python_backend_stub";
/// Where the server listens unless told otherwise.
const HTTP_PORT: u16 = 8000;
const GRPC_PORT: u16 = 8001;

impl Engine for Triton {
    fn name(&self) -> &'static str {
        "triton"
    }

    fn matches(&self, process: &Process) -> Option<Match> {
        let found = |role, evidence, port: Option<u16>| {
            let service = port.map_or_else(|| "triton:embedded".to_owned(), |port| format!("triton:{port}"));
            Some(Match { role, evidence, service: Some(service), model: None, port })
        };
        if is_server(process) {
            return found(Role::Frontend, format!("the program is `{PROGRAM}`"), Some(port(process)));
        }
        if process.argv_base(0) == STUB {
            let server = process.ancestors.iter().find(|ancestor| program(&ancestor.argv) == PROGRAM);
            let port = server.map(|server| port(&Process { argv: server.argv.clone(), ..Process::default() }));
            return found(Role::Worker, format!("the program is `{STUB}`"), port);
        }
        let library =
            process.libraries.iter().find(|name| name.starts_with("libtritonserver") && name.contains(".so"))?;
        found(Role::Frontend, format!("it maps `{library}`"), None)
    }

    fn hooks(&self, process: &Process) -> &'static [Target] {
        if is_server(process) { SERVER } else { EMBEDDED }
    }

    fn packages(&self) -> &'static [&'static str] {
        // PyTriton's version is not its server's.
        &["tritonserver"]
    }

    /// Requests are seen at the C API; what travels over the sockets names them at most.
    fn open(&self, request: &RequestHead) -> Option<Box<dyn Exchange>> {
        Some(Box::new(kserve::Ask::open(request)?))
    }

    fn calls(&self) -> Option<Box<dyn inference::Calls>> {
        Some(Box::new(calls::Calls::default()))
    }
}

fn is_server(process: &Process) -> bool {
    program(&process.argv) == PROGRAM
}

fn program(argv: &[String]) -> &str {
    argv.first().map_or("", |program| program.rsplit('/').next().unwrap_or(program))
}

/// The port that names the server: HTTP's, or gRPC's where HTTP is switched off.
fn port(process: &Process) -> u16 {
    let number = |name, default| process.option(name).and_then(|port| port.parse().ok()).unwrap_or(default);
    let off = process.option("--allow-http").is_some_and(|value| matches!(value, "false" | "False" | "0"));
    if off { number("--grpc-port", GRPC_PORT) } else { number("--http-port", HTTP_PORT) }
}
