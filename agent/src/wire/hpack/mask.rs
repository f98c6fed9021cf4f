//! A header block without what may not be recorded: values of fields that are not listed become fillers of the same length,
//! coded and plain, so that what refers to them later still does.

use super::piece::{self, Coding, Keeps, Named, Piece, Text};
use super::table::Name;
use super::{Decoder, Field, huffman, spell};

impl Decoder {
    /// The block as it may be recorded, and its listed fields; `None` where it can't be read. Reads it like
    /// [`Decoder::decode`].
    pub(crate) fn mask(&mut self, block: &[u8], emit: &mut dyn FnMut(Field<'_>)) -> Option<Vec<u8>> {
        let masked = self.masked(block, emit);
        if masked.is_none() {
            self.forget();
        }
        masked
    }

    fn masked(&mut self, block: &[u8], emit: &mut dyn FnMut(Field<'_>)) -> Option<Vec<u8>> {
        let (mut masked, mut rest) = (Vec::with_capacity(block.len()), block);
        while !rest.is_empty() {
            let (piece, behind) = piece::next(rest)?;
            let spelled = rest.get(..rest.len() - behind.len())?;
            match &piece {
                Piece::Literal { name, value, .. } if !self.is_kept(name, value)? => {
                    // The value's bytes are the piece's last.
                    masked.extend_from_slice(spelled.get(..spelled.len() - value.bytes.len())?);
                    masked.extend(filler(value)?);
                }
                Piece::Literal { keeps: Keeps::Entry | Keeps::Nothing, .. } | Piece::Indexed(_) | Piece::Resize(_) => {
                    masked.extend_from_slice(spelled);
                }
            }
            self.read(spelled, emit)?;
            rest = behind;
        }
        Some(masked)
    }

    fn is_kept(&self, name: &Named<'_>, value: &Text<'_>) -> Option<bool> {
        let listed = match name {
            Named::Index(index) => match self.table.get(*index)?.0 {
                Name::Known(name) => self.listed.contains(&name),
                Name::Other(_) | Name::Unseen => false,
            },
            Named::Text(text) => {
                let mut name = Vec::new();
                spell(text, &mut |byte| name.push(byte))?;
                self.listed.iter().any(|listed| listed.as_bytes() == name)
            }
        };
        // A path's query may hold anything.
        let mut query = false;
        spell(value, &mut |byte| query |= byte == b'?')?;
        Some(listed && !query)
    }
}

fn filler(value: &Text<'_>) -> Option<Vec<u8>> {
    match value.coding {
        Coding::Plain => Some(vec![b'x'; value.bytes.len()]),
        Coding::Huffman => {
            let mut symbols = 0;
            huffman::decode(value.bytes, &mut |_| symbols += 1)?;
            huffman::filler(symbols, value.bytes.len())
        }
    }
}
