//! A message to a watching client: `{"type": "progress", "data": {"value": 1, "max": 8, "prompt_id": "…", "node": "3"}}`.
//!
//! `progress_state` repeats for all nodes what other messages say of one, and grows with the graph: it is passed over.

use super::graph::MAX_NODES;
use crate::engine::job::{Millis, Outcome, Report};
use crate::issue::Issue;
use crate::wire::json::{self, Path, Reader, Value};

/// How the message begins that is passed over.
const PASSED_OVER: &[u8] = br#"{"type": "progress_state""#;

/// An exception that is none: a node refused its output, and the job goes on.
const BLOCKED: &str = "ExecutionBlocked";

/// What a message says.
#[derive(Debug, Default)]
struct Scan {
    kind: String,
    id: Option<String>,
    node: Node,
    shown: Option<String>,
    value: Option<u64>,
    max: Option<u64>,
    nodes: Vec<String>,
    images: u64,
    exception: String,
    remaining: Option<u64>,
    stamp: Option<Millis>,
}

/// The node that a message is about.
#[derive(Debug, Default)]
enum Node {
    /// It says nothing of nodes.
    #[default]
    Unsaid,
    /// It says that there is none.
    None,
    Some(String),
}

/// Reads a message, which may be cut at its end.
pub(super) fn read(bytes: &[u8], issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>)) {
    if bytes.starts_with(PASSED_OVER) {
        return;
    }
    let mut scan = Scan::default();
    issues.extend(Reader::default().push(bytes, &mut |path, value| scan.read(path, &value)).err());
    scan.say(say);
}

impl Scan {
    fn read(&mut self, path: &Path, value: &Value<'_>) {
        if path.is(&["type"]) {
            if let Value::Str { head, .. } = value {
                (*head).clone_into(&mut self.kind);
            }
            return;
        }
        if path.key(0) != Some(b"data") {
            return;
        }
        match value {
            Value::Str { head, .. } => self.text(path, head),
            Value::Number(number) => self.number(path, json::whole(*number)),
            Value::Null if path.is(&["data", "node"]) => self.node = Node::None,
            Value::Object if path.matches(&["data", "output", "images", "*"]) => {
                self.images = self.images.saturating_add(1);
            }
            Value::Bool(_) | Value::Null | Value::Object | Value::Array => {}
        }
    }

    fn text(&mut self, path: &Path, text: &str) {
        if path.matches(&["data", "nodes", "*"]) {
            if self.nodes.len() < MAX_NODES {
                self.nodes.push(text.to_owned());
            }
            return;
        }
        match path.key(1).filter(|_| path.depth() == 2) {
            Some(b"prompt_id") => self.id = Some(text.to_owned()),
            Some(b"node") => self.node = Node::Some(text.to_owned()),
            Some(b"display_node") => self.shown = Some(text.to_owned()),
            Some(b"exception_type") => text.clone_into(&mut self.exception),
            _ => {}
        }
    }

    fn number(&mut self, path: &Path, number: Option<u64>) {
        if path.is(&["data", "value"]) {
            self.value = number;
        } else if path.is(&["data", "max"]) {
            self.max = number;
        } else if path.is(&["data", "timestamp"]) {
            self.stamp = number.map(Millis);
        } else if path.is(&["data", "status", "exec_info", "queue_remaining"]) {
            self.remaining = number;
        }
    }

    fn say(self, say: &mut dyn FnMut(Report<'_>)) {
        if let ("status", Some(remaining)) = (self.kind.as_str(), self.remaining) {
            return say(Report::Queue { remaining });
        }
        // A client that comes back is told the node without the job: that was said before, to whom it was due.
        let (Some(id), stamp) = (self.id.as_deref(), self.stamp) else { return };
        match (self.kind.as_str(), &self.node) {
            ("execution_start", _) => say(Report::Started { id, stamp }),
            ("execution_cached", _) => say(Report::Cached { id, nodes: &self.nodes }),
            ("executing", Node::Some(node)) => {
                say(Report::Node { id, node, shown: self.shown.as_deref().unwrap_or(node) });
            }
            ("executing", Node::None) => say(Report::NoNode { id }),
            ("progress", Node::Some(node)) => {
                if let (Some(value), Some(max)) = (self.value, self.max) {
                    say(Report::Progress { id, node, value, max });
                }
            }
            ("executed", Node::Some(node)) => say(Report::Executed { id, node, images: self.images }),
            ("execution_success", _) => say(Report::Finished { id, outcome: Outcome::Success, stamp }),
            ("execution_error", _) if self.exception != BLOCKED => {
                say(Report::Finished { id, outcome: Outcome::Error(self.exception.clone()), stamp });
            }
            ("execution_interrupted", _) => say(Report::Finished { id, outcome: Outcome::Interrupted, stamp }),
            _ => {}
        }
    }
}
