//! ComfyUI: a server of jobs ("prompts") that are graphs of nodes, worked on one at a time by one thread.
//!
//! Recognises the process by the folder that its `main.py` lies in, because the command line alone says nothing. What
//! it says of its jobs is read in four places: HTTP exchanges ([`exchange`], with the [`graph`] in them), messages to the
//! client that handed the job over ([`messages`]), the lines that it writes ([`lines`]), its answers about jobs that are
//! over ([`history`]). None of these keeps a prompt's text.

mod exchange;
mod graph;
mod history;
mod lines;
mod messages;
#[cfg(test)]
mod tests;

use super::{Engine, Exchange, HTTP_SERVER, Match, Role, Target, job};
use crate::host::process::Process;
use crate::issue::Issue;
use crate::wire::RequestHead;

/// The ComfyUI engine.
pub struct Comfyui;

/// Where ComfyUI listens unless told otherwise.
const DEFAULT_PORT: &str = "8188";

/// What lies beside `main.py` in every release.
const TREE: &[&str] = &["comfy", "execution.py", "nodes.py"];

impl Engine for Comfyui {
    fn name(&self) -> &'static str {
        "comfyui"
    }

    fn matches(&self, process: &Process) -> Option<Match> {
        let evidence = judge(process)?;
        let port = option(&process.argv, "--port").unwrap_or(DEFAULT_PORT);
        Some(Match {
            role: Role::Frontend,
            evidence,
            service: Some(format!("comfyui:{port}")),
            model: None,
            port: port.parse().ok(),
        })
    }

    fn hooks(&self, _process: &Process) -> &'static [Target] {
        HTTP_SERVER
    }

    fn open(&self, request: &RequestHead) -> Option<Box<dyn Exchange>> {
        Some(Box::new(exchange::Exchange::open(request)?))
    }

    fn jobs(&self) -> Option<Box<dyn job::Reader>> {
        Some(Box::<Reader>::default())
    }
}

/// What is said outside of exchanges.
#[derive(Default)]
struct Reader {
    lines: lines::Lines,
}

impl job::Reader for Reader {
    fn said(&mut self, message: &job::Said<'_>, issues: &mut Vec<Issue>, say: &mut dyn FnMut(job::Report<'_>)) {
        match message {
            job::Said::Text { bytes, total: _ } => messages::read(bytes, issues, say),
            // Previews.
            job::Said::Binary { .. } => {}
        }
    }

    fn line(&mut self, line: &[u8], _issues: &mut Vec<Issue>, say: &mut dyn FnMut(job::Report<'_>)) {
        self.lines.read(line, say);
    }
}

/// How it is known to be ComfyUI.
fn judge(process: &Process) -> Option<String> {
    let script = process.script()?;
    let (folder, file) = script.rsplit_once('/').unwrap_or(("", script));
    if file != "main.py" {
        return None;
    }
    if TREE.iter().all(|name| process.beside.iter().any(|beside| beside == name)) {
        return Some(format!("it runs `{script}`, beside which lie `{}`", TREE.join("`, `")));
    }
    if !process.beside.is_empty() {
        return None;
    }
    // The folder can't be looked into: then its name must do.
    let folder = if folder.is_empty() || folder == "." { process.cwd.as_str() } else { folder };
    let name = folder.rsplit('/').next().unwrap_or(folder);
    name.eq_ignore_ascii_case("comfyui").then(|| format!("it runs `main.py` in a folder called `{name}`"))
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
