//! Reads a tape: an iterator of inputs. What was read before an error stays good; behind an error there is nothing.

use std::io::{self, BufRead, BufReader, Read};

use prost::Message;

use super::{Header, MAGIC, VERSION, format};
use crate::core::Input;

/// Longest message that is believed. The largest real one is a segment of 64 KiB.
const MAX_MESSAGE: u64 = 16 * 1024 * 1024;

/// Why a tape could not be read on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // each says itself
pub enum TapeError {
    #[error("this is not a tape: it does not begin with \"{}\"", MAGIC.trim_end())]
    NotATape,
    #[error("this tape has format {found}, this build reads formats up to {VERSION}: use a newer inferscope")]
    Newer { found: u32 },
    #[error("the tape is cut short at byte {at}; what stands before that was read")]
    CutShort { at: u64 },
    #[error("the tape is damaged at byte {at}; what stands before that was read")]
    Damaged { at: u64 },
    #[error("the tape holds something at byte {at} that this build does not know; what stands before that was read")]
    Unknown { at: u64 },
    #[error("reading the tape: {0}")]
    Io(#[from] io::Error),
}

/// A tape being replayed.
pub struct Reader<R: Read> {
    source: BufReader<R>,
    header: Header,
    /// Bytes read.
    at: u64,
    state: State,
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
}

impl<R: Read> Reader<R> {
    /// Reads a tape's header.
    ///
    /// # Errors
    /// When it is not a tape, or one that this build can't read.
    pub fn new(source: R) -> Result<Reader<R>, TapeError> {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        source.by_ref().take(64).read_until(b'\n', &mut line)?;
        let found = version(&line).ok_or(TapeError::NotATape)?;
        if found > VERSION {
            return Err(TapeError::Newer { found });
        }
        let header = Header { created_at: String::new(), agent_version: String::new(), text: super::Text::Masked };
        let at = line.len() as u64;
        let mut reader = Reader { source, header, at, state: State::Reading, message: line };
        let header: format::wire::Header = reader.message()?.ok_or(TapeError::CutShort { at })?;
        reader.header = format::to_header(header);
        Ok(reader)
    }

    /// What the tape says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next message; `None` at the end.
    fn message<M: Message + Default>(&mut self) -> Result<Option<M>, TapeError> {
        let start = self.at;
        let Some(len) = self.length()? else {
            return Ok(None);
        };
        if len > MAX_MESSAGE {
            return Err(TapeError::Damaged { at: start });
        }
        self.message.clear();
        let read = self.source.by_ref().take(len).read_to_end(&mut self.message)? as u64;
        self.at += read;
        if read < len {
            return Err(TapeError::CutShort { at: self.at });
        }
        M::decode(&self.message[..]).map(Some).map_err(|_| TapeError::Damaged { at: start })
    }

    /// The length before a message: a varint. `None` at the end of the tape.
    fn length(&mut self) -> Result<Option<u64>, TapeError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let Some(&byte) = self.source.fill_buf()?.first() else {
                return if shift == 0 { Ok(None) } else { Err(TapeError::CutShort { at: self.at }) };
            };
            self.source.consume(1);
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        Err(TapeError::Damaged { at: start })
    }

    fn input(&mut self) -> Result<Option<Input>, TapeError> {
        let at = self.at;
        let Some(entry) = self.message::<format::wire::Entry>()? else {
            return Ok(None);
        };
        format::to_input(entry).map(Some).ok_or(TapeError::Unknown { at })
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Input, TapeError>;

    fn next(&mut self) -> Option<Result<Input, TapeError>> {
        if self.state == State::Ended {
            return None;
        }
        let read = self.input().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.state = State::Ended;
        }
        read
    }
}

fn version(line: &[u8]) -> Option<u32> {
    str::from_utf8(line).ok()?.strip_prefix(MAGIC)?.strip_suffix('\n')?.parse().ok()
}
