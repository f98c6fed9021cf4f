//! Events of a `text/event-stream` body, by the WHATWG rules: lines end with CR, LF or CRLF; comments, a byte order
//! mark, `data:` over several lines, `event:`.
//!
//! `id` and `retry` mean nothing here. An event that lies whole inside one push is borrowed, never copied, unless it
//! has lines behind its `data:` line. An event without its closing blank line is never said.

#[cfg(test)]
mod tests;

use super::{Event, scan};
use crate::issue::Issue;

/// Most bytes of one event that are held.
const MAX_EVENT: usize = 256 * 1024;
/// Room that is kept for the next event.
const KEPT_ROOM: usize = 8 * 1024;

/// Reads one body.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    mode: Mode,
    /// The line under way, as far as earlier pushes brought it.
    line: Vec<u8>,
    /// The `data:` lines of the event under way, joined; `None` before the first.
    data: Option<Vec<u8>>,
    /// The `event:` field of the event under way.
    name: String,
    /// What the next byte may still belong to.
    before: Before,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Reading,
    /// Until the next blank line everything is ignored.
    Skipping { line: Skipped },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipped {
    /// Nothing of the line under way has come.
    Blank,
    Begun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Before {
    /// Nothing has come yet: a byte order mark may.
    #[default]
    Anything,
    /// A line feed now belongs to the carriage return before it.
    CarriageReturn,
    Other,
}

/// `data:` of the event under way.
enum Data<'b> {
    /// One line, in the bytes being pushed.
    Borrowed(&'b [u8]),
    /// In [`Decoder::data`], if anywhere.
    Held,
}

impl Decoder {
    /// Reads on.
    pub fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Result<Event<'_>, Issue>)) {
        let mut rest = bytes;
        let mut data = Data::Held;
        while let Some(&first) = rest.first() {
            if self.before == Before::CarriageReturn {
                self.before = Before::Other;
                if first == b'\n' {
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
            }
            let Some(end) = scan::either(rest, b'\n', b'\r') else {
                self.begin_line(rest, emit);
                break;
            };
            let (line, ended) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            self.end_line(line, &mut data, emit);
            // Only now: the byte order mark stands in the first line.
            self.before = if ended.first() == Some(&b'\r') { Before::CarriageReturn } else { Before::Other };
            rest = ended.get(1..).unwrap_or_default();
        }
        if let Data::Borrowed(data) = data {
            self.hold(data);
        }
    }

    /// Body bytes that were not copied: the event under way is forgotten, and what follows is ignored up to a blank
    /// line. Errs towards losing the next event too (an unseen line end right before the bytes that follow): half an
    /// event must never pass for a whole one.
    pub fn elide(&mut self) {
        self.forget();
        self.line.clear();
        self.mode = Mode::Skipping { line: Skipped::Begun };
        self.before = Before::Other;
    }

    /// A line that goes on in the next push.
    fn begin_line(&mut self, part: &[u8], emit: &mut dyn FnMut(Result<Event<'_>, Issue>)) {
        match self.mode {
            Mode::Skipping { .. } => self.mode = Mode::Skipping { line: Skipped::Begun },
            Mode::Reading if self.fits(part) => self.line.extend_from_slice(part),
            Mode::Reading => {
                self.skip(Skipped::Begun);
                emit(Err(Issue::SseLineTooLong));
            }
        }
    }

    fn end_line<'b>(&mut self, part: &'b [u8], data: &mut Data<'b>, emit: &mut dyn FnMut(Result<Event<'_>, Issue>)) {
        if let Mode::Skipping { line } = self.mode {
            let blank = line == Skipped::Blank && part.is_empty();
            self.mode = if blank { Mode::Reading } else { Mode::Skipping { line: Skipped::Blank } };
            return;
        }
        if let Data::Borrowed(borrowed) = *data
            && !part.is_empty()
        {
            self.hold(borrowed);
            *data = Data::Held;
        }
        if !self.fits(part) {
            self.skip(Skipped::Blank);
            return emit(Err(Issue::SseLineTooLong));
        }
        if self.line.is_empty() {
            return self.field(part, data, emit);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(part);
        let mut held = Data::Held;
        self.field(&line, &mut held, emit);
        if let Data::Borrowed(value) = held {
            self.hold(value);
        }
        line.clear();
        line.shrink_to(KEPT_ROOM);
        self.line = line;
    }

    /// Reads one whole line.
    fn field<'b>(&mut self, line: &'b [u8], data: &mut Data<'b>, emit: &mut dyn FnMut(Result<Event<'_>, Issue>)) {
        let marked = if self.before == Before::Anything { line.strip_prefix(b"\xef\xbb\xbf") } else { None };
        let line = marked.unwrap_or(line);
        if line.is_empty() {
            return self.dispatch(data, emit);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at_checked(colon).unwrap_or((line, &[]));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" if self.data.is_some() => self.hold(value),
            b"data" => *data = Data::Borrowed(value),
            b"event" => {
                self.name.clear();
                self.name.push_str(str::from_utf8(value).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, data: &mut Data<'_>, emit: &mut dyn FnMut(Result<Event<'_>, Issue>)) {
        let said = match std::mem::replace(data, Data::Held) {
            Data::Borrowed(data) => Some(data),
            Data::Held => self.data.as_deref(),
        };
        if let Some(data) = said {
            emit(Ok(Event { name: &self.name, data }));
        }
        self.forget();
    }

    /// Adds a `data:` line to those that are held.
    fn hold(&mut self, value: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
    }

    /// Whether the line under way may grow by `part`.
    fn fits(&self, part: &[u8]) -> bool {
        self.data.as_ref().map_or(0, Vec::len) + self.line.len() + part.len() <= MAX_EVENT
    }

    fn skip(&mut self, line: Skipped) {
        self.forget();
        self.line = Vec::new();
        self.mode = Mode::Skipping { line };
    }

    fn forget(&mut self) {
        self.data = None;
        self.name.clear();
        self.name.shrink_to(KEPT_ROOM);
    }
}
