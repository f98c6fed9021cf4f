//! Masks an event stream: field names, event names and line ends stay, `data:` is masked as JSON, the rest as text.

use super::json;
use super::keys::Vocabulary;

const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
/// May stand before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Masks one body.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    words: &'static Vocabulary,
    at: At,
    /// What has come of the line's field name.
    field: Vec<u8>,
    /// The data of the event under way.
    data: json::Mask,
    line: Line,
    reads: Reads,
    before: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Field,
    /// Behind a colon: one blank may follow that is not part of the value.
    Data,
    Name,
    Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Blank,
    Begun,
}

/// The reader of the tape ignores lines behind missing bytes; so it is here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reads {
    #[default]
    Events,
    /// Until a blank line.
    Nothing,
}

impl Mask {
    /// Of a stream in whose data these words may stay.
    pub(super) fn new(words: &'static Vocabulary) -> Mask {
        let (at, field, line, reads) = (At::default(), Vec::new(), Line::default(), Reads::default());
        Mask { words, at, field, data: json::Mask::new(words), line, reads, before: 0 }
    }

    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(bytes.iter().map(|byte| self.byte(*byte)));
    }

    /// Bytes are missing here.
    pub(super) fn elide(&mut self) {
        self.reads = Reads::Nothing;
        self.line = Line::Begun;
        self.before = 0;
    }

    fn byte(&mut self, byte: u8) -> u8 {
        let before = std::mem::replace(&mut self.before, byte);
        match byte {
            b'\n' if before == b'\r' => byte,
            b'\n' | b'\r' => {
                self.end_line();
                byte
            }
            _ => {
                self.line = Line::Begun;
                self.inside(byte)
            }
        }
    }

    fn end_line(&mut self) {
        if self.line == Line::Blank {
            self.reads = Reads::Events;
            self.data = json::Mask::new(self.words);
        } else if self.at == At::Data {
            // Lines of data are joined by a line feed, which may not stand inside a word.
            self.data.byte(b'\n');
        }
        self.line = Line::Blank;
        self.at = At::Field;
        self.field.clear();
    }

    fn inside(&mut self, byte: u8) -> u8 {
        match (self.reads, self.at) {
            (Reads::Nothing, _) | (_, At::Text) => b'x',
            (_, At::Data) => self.data.byte(byte),
            (_, At::Name) if byte.is_ascii_alphanumeric() || b" ._-".contains(&byte) => byte,
            (_, At::Name) => b'x',
            (_, At::Field) if byte == b':' => {
                self.at = match self.field.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.field) {
                    b"data" => At::Data,
                    b"event" => At::Name,
                    _ => At::Text,
                };
                byte
            }
            (_, At::Field) => {
                self.field.push(byte);
                if self.is_hopeful() {
                    return byte;
                }
                self.at = At::Text;
                b'x'
            }
        }
    }

    /// Whether the line may become one of the fields.
    fn is_hopeful(&self) -> bool {
        let name = self.field.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.field);
        FIELDS.iter().any(|field| field.starts_with(name)) || BYTE_ORDER_MARK.starts_with(&self.field)
    }
}
