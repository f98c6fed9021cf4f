//! The answer to `GET /history` and `GET /history/ID`: what became of jobs that are over.
//!
//! `{ID: {"prompt": […], "outputs": {NODE: {"images": [{…}]}}, "status": {"messages": [["execution_start", {"timestamp":
//! 1700000000000}], …]}}}`. The graph comes first and may be long: where bytes of it are missing, nothing behind is read.

use super::graph::MAX_NODES;
use crate::engine::job::{Millis, Outcome, Past};
use crate::issue::Issue;
use crate::wire::json::{self, Path, Reader, Value};
use std::collections::VecDeque;

/// Jobs that are kept of one answer: the newest, which come last.
const MAX_JOBS: usize = 64;

/// An answer under way.
#[derive(Debug, Default)]
pub(super) struct History {
    reader: Reader,
    jobs: VecDeque<Past>,
    /// What the message under way is about.
    message: String,
}

impl History {
    /// Reads on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Issue> {
        let History { reader, jobs, message } = self;
        reader.push(bytes, &mut |path, value| read(jobs, message, path, &value))
    }

    /// Bytes that were not copied.
    pub fn elide(&mut self) {
        self.reader.elide();
    }

    /// The jobs of which the answer says how they came out.
    pub fn past(self) -> Vec<Past> {
        self.jobs.into_iter().filter(|past| past.outcome.is_some()).collect()
    }
}

fn read(jobs: &mut VecDeque<Past>, message: &mut String, path: &Path, value: &Value<'_>) {
    let Some(id) = path.key(0).and_then(|key| str::from_utf8(key).ok()) else { return };
    if jobs.back().is_none_or(|past| past.id != id) {
        if jobs.len() >= MAX_JOBS {
            jobs.pop_front();
        }
        jobs.push_back(Past { id: id.to_owned(), ..Past::default() });
    }
    let Some(past) = jobs.back_mut() else { return };
    match path.key(1) {
        Some(b"outputs") => outputs(past, path, value),
        Some(b"status") if path.key(2) == Some(b"messages") => messages(past, message, path, value),
        _ => {}
    }
}

fn outputs(past: &mut Past, path: &Path, value: &Value<'_>) {
    let is_image = path.depth() == 5 && path.key(3) == Some(b"images") && matches!(value, Value::Object);
    let Some(node) = path.key(2).filter(|_| is_image).and_then(|key| str::from_utf8(key).ok()) else { return };
    if past.images.len() < MAX_NODES || past.images.contains_key(node) {
        let images = past.images.entry(node.to_owned()).or_default();
        *images = images.saturating_add(1);
    }
}

/// `[ID, "status", "messages", n, 0]` is the message's name, `[…, n, 1, KEY]` its content.
fn messages(past: &mut Past, message: &mut String, path: &Path, value: &Value<'_>) {
    let content = path.key(5).filter(|_| path.index(4) == Some(1));
    match (path.depth(), content, value) {
        (5, None, Value::Str { head, .. }) if path.index(4) == Some(0) => begin(past, message, head),
        (6, Some(b"timestamp"), Value::Number(stamp)) => match message.as_str() {
            "execution_start" => past.started = json::whole(*stamp).map(Millis),
            "execution_success" | "execution_error" | "execution_interrupted" => {
                past.ended = json::whole(*stamp).map(Millis)
            }
            _ => {}
        },
        (6, Some(b"exception_type"), Value::Str { head, .. }) if message == "execution_error" => {
            past.outcome = Some(Outcome::Error((*head).to_owned()));
        }
        (7, Some(b"nodes"), Value::Str { head, .. }) if message == "execution_cached" => {
            let cached = past.cached.get_or_insert_default();
            if cached.len() < MAX_NODES {
                cached.push((*head).to_owned());
            }
        }
        _ => {}
    }
}

fn begin(past: &mut Past, message: &mut String, name: &str) {
    name.clone_into(message);
    match name {
        "execution_cached" => past.cached = Some(Vec::new()),
        "execution_success" => past.outcome = Some(Outcome::Success),
        "execution_error" => past.outcome = Some(Outcome::Error(String::new())),
        "execution_interrupted" => past.outcome = Some(Outcome::Interrupted),
        _ => {}
    }
}
