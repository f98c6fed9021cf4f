//! The OpenAI dialect, as vLLM speaks it: completions, chat, responses, Anthropic's messages, embeddings and the like.
//!
//! Reads which events carry output, the model, the server's token counts and why it stopped. Keeps no prompt and no
//! answer text: of a text it asks only whether it is there and whether it is empty. [`scan`] reads one JSON document.

use super::{Choices, Facts, Operation, Step};
use crate::issue::Issue;
use crate::wire::{Message, RequestHead, ResponseHead, Side, header, json};

mod scan;
use scan::{Kind, Scan};

/// Endpoints by the end of their path, because servers may be mounted under a prefix. All are POSTed to.
const ENDPOINTS: &[(&str, Operation)] = &[
    ("/v1/chat/completions", Operation::Chat),
    ("/v1/completions", Operation::TextCompletion),
    ("/v1/responses", Operation::Chat),
    ("/v1/messages", Operation::Chat),
    ("/v1/embeddings", Operation::Embeddings),
    ("/score", Operation::Score),
    ("/rerank", Operation::Rerank),
    ("/pooling", Operation::Pooling),
    ("/v1/audio/transcriptions", Operation::Transcription),
    ("/v1/audio/translations", Operation::Transcription),
    ("/v1/audio/speech", Operation::Speech),
];

/// Where the end of an answer too long to be copied whole is picked up again.
const FRAGMENTS: &[&str] = &["usage"];

/// One request and its answer.
#[derive(Default)]
pub struct Exchange {
    facts: Facts,
    /// The request's JSON, while it lasts.
    request: Option<json::Reader>,
    /// The JSON of an answer that is not streamed.
    answer: Option<(json::Reader, Scan)>,
    /// Choices seen in the stream so far.
    choices: Choices,
}

impl Exchange {
    /// Opens an exchange, or `None` for a request that is not inference.
    #[must_use]
    pub fn open(head: &RequestHead) -> Option<Exchange> {
        if head.method != "POST" {
            return None;
        }
        let (_, operation) = ENDPOINTS.iter().find(|(end, _)| head.path.ends_with(end))?;
        let facts = Facts { operation: *operation, ..Facts::default() };
        // Audio comes as multipart: there is no JSON in it to read.
        let request = is_json(&head.headers).then(json::Reader::default);
        Some(Exchange { facts, request, ..Exchange::default() })
    }

    fn ask(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        let Some(reader) = &mut self.request else { return };
        let model = &mut self.facts.model;
        let read = reader.push(bytes, &mut |path, value| {
            if let json::Value::Str { head, .. } = value
                && path.is(&["model"])
                && model.is_none()
            {
                *model = Some(head.to_owned());
            }
        });
        issues.extend(read.err());
    }

    fn begin(&mut self, head: &ResponseHead) {
        // The body of a refusal says nothing that is a fact here, and its status is in the head.
        if head.status < 400 && is_json(&head.headers) {
            self.answer = Some((json::Reader::with_fragments(FRAGMENTS), Scan::default()));
        }
    }

    fn answer(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        let Some((reader, scan)) = &mut self.answer else { return };
        let facts = &mut self.facts;
        issues.extend(reader.push(bytes, &mut |path, value| scan.read(path, &value, facts)).err());
        scan.usage.state(&mut facts.usage);
    }

    fn event(&mut self, data: &[u8], issues: &mut Vec<Issue>) -> Step {
        if data.trim_ascii() == b"[DONE]" {
            return Step::Finish;
        }
        let mut scan = Scan::default();
        let facts = &mut self.facts;
        issues.extend(json::Reader::default().push(data, &mut |path, value| scan.read(path, &value, facts)).err());
        let output = scan.finish(issues);
        self.count(&scan);
        match scan.kind {
            Kind::Finish => Step::Finish,
            _ if !self.facts.operation.generates() => Step::Ignore,
            Kind::Output => Step::Output(Choices::of(0)),
            _ if !output.is_empty() => Step::Output(output),
            Kind::Announce => Step::Announce,
            Kind::Other => Step::Ignore,
        }
    }

    /// Takes an event's token counts. Those beside a choice (`continuous_usage_stats`) are that choice's own: where
    /// there are several choices only the closing event's sum is the request's.
    fn count(&mut self, scan: &Scan) {
        let one = self.choices.count() <= 1;
        self.choices = self.choices.union(scan.choices);
        if self.choices.count() <= 1 || scan.choices.is_empty() {
            scan.usage.state(&mut self.facts.usage);
        } else if one {
            self.facts.usage = super::Usage::default();
        }
    }
}

impl super::Exchange for Exchange {
    fn interpret(&mut self, message: &Message<'_>, issues: &mut Vec<Issue>) -> Step {
        match message {
            Message::Body(Side::Request, bytes) => self.ask(bytes, issues),
            // What follows may be the inside of a text: only what was read before counts.
            Message::Elided(Side::Request, _) | Message::End(Side::Request) => self.request = None,
            Message::Response(head) => self.begin(head),
            Message::Body(Side::Response, bytes) => self.answer(bytes, issues),
            Message::Elided(Side::Response, _) => {
                if let Some((reader, _)) = &mut self.answer {
                    reader.elide();
                }
            }
            Message::Event(event) => return self.event(event.data, issues),
            Message::End(Side::Response) => self.answer = None,
            Message::Rpc(..) => {}
        }
        Step::Ignore
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn is_json(headers: &[(String, String)]) -> bool {
    header(headers, "content-type").is_some_and(|kind| kind.contains("json"))
}

#[cfg(test)]
mod tests;
