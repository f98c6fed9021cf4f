//! ComfyUI: watched in plain, deflated and over TLS, not watched, and what goes wrong.

use super::{Wanted, logs, take};
use anyhow::Result;
use inferscope_tests::comfyui::agreement::compare;
use inferscope_tests::comfyui::{ComfyServer, Load, Mode};
use inferscope_tests::vllm::Transport;

/// A tape's name and what the client does on it, one behind the other.
type Scene = (&'static str, fn() -> Vec<Load>);

const PLAIN: &[Scene] = &[
    ("comfyui-watched", || vec![few(Mode::Socket).again()]),
    ("comfyui-deflate", || vec![few(Mode::Deflate)]),
    ("comfyui-unwatched", || vec![few(Mode::Poll)]),
    ("comfyui-queue", || vec![Load::of("queue"), Load::of("queue").mode(Mode::Poll)]),
    ("comfyui-failures", || ["fail", "interrupt", "invalid"].into_iter().flat_map(in_both).collect()),
    ("comfyui-upload", || vec![Load::of("upload").with("--megabytes", 1), few(Mode::Poll)]),
];
const TLS: &[Scene] = &[("comfyui-tls", || vec![few(Mode::Deflate), few(Mode::Poll)])];

/// Records those that are wanted.
pub fn record(wanted: &Wanted) -> Result<()> {
    scenes(wanted, PLAIN, Transport::Plain)?;
    scenes(wanted, TLS, Transport::Tls)
}

fn scenes(wanted: &Wanted, scenes: &[Scene], transport: Transport) -> Result<()> {
    if !scenes.iter().any(|(name, _)| wanted.is(name)) {
        return Ok(());
    }
    let server = ComfyServer::start(transport, &[], &logs())?;
    for (name, loads) in scenes.iter().filter(|(name, _)| wanted.is(name)) {
        let drive = || loads().iter().map(|load| server.drive(load)).collect::<Result<Vec<_>>>();
        let (seen, records) = take(name, &only(&server), Some(server.pid()), drive)?;
        println!("{name}: {} records\n{}", records.len(), compare(&seen.concat(), &records));
    }
    Ok(())
}

/// This server and no other of the host, under a name that no port is in.
fn only(server: &ComfyServer) -> String {
    let port = server.address().port();
    format!(
        "engines: {{comfyui: {{enabled: false}}, vllm: {{enabled: false}}}}\n\
         servers: [{{engine: comfyui, argv: \"main.py --cpu --listen 127.0.0.1 --port {port} \", service: comfyui}}]\n"
    )
}

fn few(mode: Mode) -> Load {
    Load::of("load").mode(mode).with("--workflow", "both").with("--prompts", 4)
}

fn in_both(action: &str) -> [Load; 2] {
    [Load::of(action), Load::of(action).mode(Mode::Poll)]
}
