//! Masks what a server sends on a WebSocket: frame headers stay, plain texts are masked as JSON, all other payloads become
//! zeros. Where the place in the stream is lost, everything does.

use super::json;
use super::keys::Vocabulary;
use crate::wire::websocket::Sender;
use crate::wire::websocket::frame::{Buffer, Coding, End, Header, Kind, Progress};

/// Masks one direction, from the handshake on.
pub(super) struct Mask {
    words: &'static Vocabulary,
    at: At,
    /// The text message under way, where it is one.
    text: Option<json::Mask>,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Header(Buffer),
    Payload { header: Header, left: u64 },
    Nowhere,
}

impl Mask {
    pub(super) fn new(words: &'static Vocabulary) -> Mask {
        Mask { words, at: At::Header(Buffer::default()), text: None }
    }

    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.at {
                At::Header(buffer) => {
                    let (progress, behind) = buffer.take(rest, Sender::Server);
                    let taken = rest.len() - behind.len();
                    match progress {
                        Progress::Malformed => {
                            self.at = At::Nowhere;
                            continue;
                        }
                        Progress::Whole(header) => self.begin(header),
                        Progress::More => {}
                    }
                    out.extend_from_slice(rest.get(..taken).unwrap_or_default());
                    behind
                }
                At::Payload { left, .. } => {
                    let whole = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (payload, behind) = rest.split_at_checked(whole).unwrap_or((rest, &[]));
                    self.payload(payload, out);
                    behind
                }
                At::Nowhere => return out.resize(out.len() + rest.len(), 0),
            };
        }
    }

    /// Bytes are missing here.
    pub(super) fn skip(&mut self, bytes: u64) {
        match &mut self.at {
            At::Payload { left, .. } if bytes <= *left => {
                *left -= bytes;
                self.text.iter_mut().for_each(json::Mask::elide);
                self.end_if_complete();
            }
            _ => self.at = At::Nowhere,
        }
    }

    fn begin(&mut self, header: Header) {
        match (header.kind, header.coding) {
            (Kind::Text, Coding::Plain) => self.text = Some(json::Mask::new(self.words)),
            (Kind::Text | Kind::Binary, _) => self.text = None,
            (Kind::Continuation | Kind::Close | Kind::Life, _) => {}
        }
        self.at = At::Payload { header, left: header.payload };
        self.end_if_complete();
    }

    fn payload(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let At::Payload { header, left } = &mut self.at else { return };
        *left = left.saturating_sub(bytes.len() as u64);
        match &mut self.text {
            Some(text) if header.carries_content() => text.mask(bytes, out),
            _ => out.resize(out.len() + bytes.len(), 0),
        }
        self.end_if_complete();
    }

    fn end_if_complete(&mut self) {
        let At::Payload { header, left: 0 } = &self.at else { return };
        if header.carries_content() && header.end == End::Last {
            self.text = None;
        }
        self.at = At::Header(Buffer::default());
    }
}
