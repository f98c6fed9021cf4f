//! Writes a tape. Masks text on the way in unless its header says that text is kept, so that the two can't disagree.

use std::io::{self, BufWriter, Write};

use prost::Message;

use super::redact::Redactor;
use super::{Header, MAGIC, Text, VERSION, format};
use crate::core::Input;

/// A tape being recorded.
pub struct Writer<W: Write> {
    sink: BufWriter<W>,
    redactor: Option<Redactor>,
    scratch: Vec<u8>,
    written: Written,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Inputs.
    pub inputs: u64,
    /// Bytes, the header's included.
    pub bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a tape.
    ///
    /// # Errors
    /// What `sink` says.
    pub fn new(sink: W, header: &Header) -> io::Result<Writer<W>> {
        let redactor = match header.text {
            Text::Masked => Some(Redactor::default()),
            Text::Kept => None,
        };
        let mut writer =
            Writer { sink: BufWriter::new(sink), redactor, scratch: Vec::new(), written: Written::default() };
        writer.scratch.extend_from_slice(format!("{MAGIC}{VERSION}\n").as_bytes());
        writer.append(&format::from_header(header))?;
        Ok(writer)
    }

    /// Writes one input.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, input: &Input) -> io::Result<()> {
        let input = match &mut self.redactor {
            Some(redactor) => redactor.mask(input),
            None => input.clone(),
        };
        self.append(&format::from_input(input))?;
        self.written.inputs += 1;
        Ok(())
    }

    /// Hands everything to the sink.
    ///
    /// # Errors
    /// What the sink says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    /// How much was written by now.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }

    fn append(&mut self, message: &impl Message) -> io::Result<()> {
        message.encode_length_delimited(&mut self.scratch).map_err(io::Error::other)?;
        self.sink.write_all(&self.scratch)?;
        self.written.bytes += self.scratch.len() as u64;
        self.scratch.clear();
        Ok(())
    }
}
