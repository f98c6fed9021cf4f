//! One HTTP exchange with ComfyUI's API: which function it asked for, and what it said of jobs.
//!
//! Pictures, uploads and lists of nodes are known by their path and never read.

use super::graph::Drawing;
use super::history::History;
use crate::engine::job::{News, Submission, Told};
use crate::engine::{Facts, Purpose, Step};
use crate::issue::Issue;
use crate::wire::json::{Path, Reader, Value};
use crate::wire::{Message, RequestHead, ResponseHead, Side, header};

/// Functions by the first part of their path, which `/api` may stand before. What is not here (pages, files, settings) is
/// no exchange about jobs.
const ENDPOINTS: &[&str] =
    &["prompt", "queue", "history", "interrupt", "free", "upload", "view", "object_info", "system_stats"];

/// Jobs that one request takes out of the queue, at most.
const MAX_REMOVED: usize = 4096;

/// An exchange.
pub(super) struct Exchange {
    endpoint: &'static str,
    facts: Facts,
    asks: Asks,
    answers: Answers,
    error: Option<String>,
}

/// What is read of the request.
enum Asks {
    Nothing,
    /// To work on this.
    Job(Box<Drawing>),
    /// To take jobs out of the queue.
    Removal(Box<Removal>),
}

/// `{"delete": ["…"], "clear": true}`
#[derive(Default)]
struct Removal {
    reader: Reader,
    ids: Vec<String>,
    all: bool,
}

/// What is read of the answer.
enum Answers {
    Nothing,
    /// The job's id and number.
    Job {
        reader: Reader,
        id: Option<String>,
        number: Option<f64>,
    },
    Removed,
    History(Box<History>),
    /// The type of an error.
    Error(Reader),
}

impl Exchange {
    /// Opens an exchange, or `None` for what is not of the API.
    pub fn open(head: &RequestHead) -> Option<Exchange> {
        let path = head.path.strip_prefix("/api").filter(|rest| rest.starts_with('/')).unwrap_or(&head.path);
        let first = path.strip_prefix('/')?.split('/').next()?;
        let endpoint = ENDPOINTS.iter().copied().find(|endpoint| *endpoint == first)?;
        let asks = match (head.method.as_str(), endpoint) {
            ("POST", "prompt") => Asks::Job(Box::default()),
            ("POST", "queue") => Asks::Removal(Box::default()),
            _ => Asks::Nothing,
        };
        let answers = match (head.method.as_str(), endpoint) {
            ("POST", "prompt") => Answers::Job { reader: Reader::default(), id: None, number: None },
            ("POST", "queue") => Answers::Removed,
            ("GET", "history") => Answers::History(Box::default()),
            _ => Answers::Nothing,
        };
        Some(Exchange { endpoint, facts: Facts::default(), asks, answers, error: None })
    }

    fn ask(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        match &mut self.asks {
            Asks::Nothing => {}
            Asks::Job(drawing) => drawing.push(bytes, issues),
            Asks::Removal(removal) => {
                let Removal { reader, ids, all } = &mut **removal;
                let read = reader.push(bytes, &mut |path, value| match value {
                    Value::Str { head, .. } if path.matches(&["delete", "*"]) && ids.len() < MAX_REMOVED => {
                        ids.push(head.to_owned());
                    }
                    Value::Bool(clear) if path.is(&["clear"]) => *all = clear,
                    _ => {}
                });
                issues.extend(read.err());
            }
        }
    }

    fn begin(&mut self, head: &ResponseHead) {
        let json = header(&head.headers, "content-type").is_some_and(|kind| kind.contains("json"));
        if head.status >= 400 {
            self.answers = if json { Answers::Error(Reader::default()) } else { Answers::Nothing };
        } else if !json && !matches!(self.answers, Answers::Removed) {
            self.answers = Answers::Nothing;
        }
    }

    fn answer(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        let read = match &mut self.answers {
            Answers::Nothing | Answers::Removed => return,
            Answers::Job { reader, id, number } => {
                reader.push(bytes, &mut |path, value| submitted(path, &value, id, number))
            }
            Answers::History(history) => history.push(bytes),
            Answers::Error(reader) => reader.push(bytes, &mut |path, value| {
                if let Value::Str { head, .. } = value
                    && path.is(&["error", "type"])
                {
                    self.error = Some(head.to_owned());
                }
            }),
        };
        issues.extend(read.err());
    }

    fn elided(&mut self, side: Side) {
        match (side, &mut self.asks, &mut self.answers) {
            (Side::Request, Asks::Job(drawing), _) => drawing.elide(),
            (Side::Request, Asks::Removal(removal), _) => removal.reader.elide(),
            (Side::Response, _, Answers::Job { reader, .. } | Answers::Error(reader)) => reader.elide(),
            (Side::Response, _, Answers::History(history)) => history.elide(),
            (Side::Request, Asks::Nothing, _) | (Side::Response, _, Answers::Nothing | Answers::Removed) => {}
        }
    }
}

impl crate::engine::Exchange for Exchange {
    fn interpret(&mut self, message: &Message<'_>, issues: &mut Vec<Issue>) -> Step {
        match message {
            Message::Body(Side::Request, bytes) => self.ask(bytes, issues),
            Message::Body(Side::Response, bytes) => self.answer(bytes, issues),
            Message::Response(head) => self.begin(head),
            Message::Elided(side, _) => self.elided(*side),
            Message::Event(_) | Message::End(_) | Message::Rpc(..) => {}
        }
        Step::Ignore
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn purpose(&self) -> Purpose {
        Purpose::Jobs
    }

    fn told(&mut self) -> Told {
        let asks = std::mem::replace(&mut self.asks, Asks::Nothing);
        let news = match (asks, std::mem::replace(&mut self.answers, Answers::Nothing)) {
            (Asks::Job(drawing), Answers::Job { id, number, .. }) => {
                let id = id.or_else(|| drawing.id().map(str::to_owned));
                let graph = drawing.graph();
                id.map_or(News::None, |id| News::Submitted(Box::new(Submission { id, number, graph })))
            }
            (Asks::Removal(removal), Answers::Removed) => News::Removed { ids: removal.ids, all: removal.all },
            (_, Answers::History(history)) => News::Past(history.past()),
            _ => News::None,
        };
        Told { endpoint: self.endpoint, error: self.error.take(), news }
    }

    fn reads(&self, side: Side) -> bool {
        match side {
            Side::Request => !matches!(self.asks, Asks::Nothing),
            Side::Response => !matches!(self.answers, Answers::Nothing | Answers::Removed),
        }
    }
}

/// `{"prompt_id": "…", "number": 7, "node_errors": {}}`
fn submitted(path: &Path, value: &Value<'_>, id: &mut Option<String>, number: &mut Option<f64>) {
    match value {
        Value::Str { head, .. } if path.is(&["prompt_id"]) => *id = Some((*head).to_owned()),
        Value::Number(value) if path.is(&["number"]) => *number = Some(*value),
        _ => {}
    }
}
