//! What vLLM's front ends and engine processes tell each other, frame by frame (ZeroMQ, MessagePack, arrays by index).
//!
//! A front end sends `[identity,] type, payload`; the engine's end of the socket does not show the identity. An engine
//! answers each iteration with one `EngineCoreOutputs`, the first frame of its message. Frames behind either are tensors.
//! Only what stands at the same place in every version looked at (0.11 to 0.32) is read by index, the rest by name.
//!
//! Other traffic of these processes (wake-ups, handshakes, utility calls, work for the workers) is passed over in
//! silence, so a thing is an issue only behind a beginning that nothing else has. Token ids are counted and dropped.

mod iteration;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

use crate::engine::report::{Frame, Messages, Report};
use crate::event::Direction;
use crate::issue::Issue;
use crate::wire::msgpack::{Fault, Reader, Token};

/// A request's first fields, the same in all versions: id, prompt, features, sampling and pooling parameters.
const REQUEST_FIELDS: u32 = 5;

/// No frame with a payload is so short; an identity has two bytes, a type has one.
const SHORT: u64 = 2;

/// Reads the messages of one socket: of one that carries both directions, each for itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct VllmMessages {
    received: Place,
    sent: Place,
}

/// Which frame of a message comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    First,
    /// Behind what may have been an identity.
    Second,
    Payload(Kind),
    /// Nothing more of this message is read.
    Passed,
}

/// What a front end asks for (`EngineCoreRequestType`), as far as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Abort,
}

impl Messages for VllmMessages {
    fn frame(&mut self, frame: &Frame<'_>, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>)) {
        let place = match frame.direction {
            Direction::Read => &mut self.received,
            Direction::Write => &mut self.sent,
        };
        let next = read(*place, frame, issues, say);
        *place = if frame.more { next } else { Place::First };
    }
}

/// Reads the frame at `place`; the place of the next one, if one follows.
fn read(place: Place, frame: &Frame<'_>, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>)) -> Place {
    let place = match place {
        // The payload was lost: this is the beginning of another message.
        Place::Payload(_) if frame.more && frame.total <= SHORT => Place::First,
        place => place,
    };
    let read = match place {
        Place::Passed => Ok(()),
        Place::First | Place::Second if frame.more && frame.total == 1 => {
            return match frame.bytes {
                [0] => Place::Payload(Kind::Add),
                [1] => Place::Payload(Kind::Abort),
                _ => Place::Passed,
            };
        }
        Place::First if frame.more && frame.total <= SHORT => return Place::Second,
        Place::First => iteration::read(frame, say),
        Place::Second => Ok(()),
        Place::Payload(Kind::Add) => added(frame.bytes, say),
        Place::Payload(Kind::Abort) => aborted(frame.bytes, say),
    };
    if let Err(fault) = read {
        issues.push(match fault {
            Fault::Truncated if is_cut(frame) => Issue::EngineMessageTruncated,
            Fault::Truncated | Fault::Malformed => Issue::EngineMessageMalformed,
        });
    }
    Place::Passed
}

/// Whether not all of it was copied.
fn is_cut(frame: &Frame<'_>) -> bool {
    (frame.bytes.len() as u64) < frame.total
}

/// Reads an `EngineCoreRequest` up to the length of its prompt; the rest need not be there.
fn added(payload: &[u8], say: &mut dyn FnMut(Report<'_>)) -> Result<(), Fault> {
    let mut reader = Reader::new(payload);
    let Some(REQUEST_FIELDS..) = reader.array()? else {
        return Ok(());
    };
    let Some(id) = reader.text()? else {
        return Ok(());
    };
    let prompt_tokens = match reader.token()? {
        Token::Nil => None,
        Token::Array(tokens) => Some(tokens.into()),
        _ => return Err(Fault::Malformed),
    };
    say(Report::Added { id, prompt_tokens });
    Ok(())
}

/// Reads a list of ids.
fn aborted(payload: &[u8], say: &mut dyn FnMut(Report<'_>)) -> Result<(), Fault> {
    let mut reader = Reader::new(payload);
    for _ in 0..reader.array()?.unwrap_or_default() {
        let id = reader.text()?.ok_or(Fault::Malformed)?;
        say(Report::Aborted { id });
    }
    Ok(())
}
