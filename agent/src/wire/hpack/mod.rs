//! HPACK (RFC 7541) of one direction: from header blocks to the listed fields, from the middle of a connection if need be.
//!
//! Who joins midway has not seen the entries that were made before. Indexes count from the newest entry, so entries
//! made since are found exactly, and what an older one says is *unseen*: said so, never guessed. A table that the
//! encoder empties, as the RFC lets it, is known again from there.
//!
//! Of fields that are not listed only the size is held, because it decides what is evicted: credentials are never held.
//! SETTINGS are not needed here: an encoder announces each change of its table's size within a block.

mod huffman;
mod integer;
mod mask;
mod piece;
mod table;
#[cfg(test)]
mod tests;

use crate::issue::Issue;
use piece::{Coding, Keeps, Named, Piece, Text};
use table::{Entry, Name, Table};

/// Something that a header block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// A listed field.
    Known {
        /// Its name, as it is listed.
        name: &'static str,
        /// Its value.
        value: &'a str,
    },
    /// A field that refers to what was said before this decoder came: it may be any.
    Unseen,
}

/// Reads the header blocks of one direction.
#[derive(Clone, Debug)]
pub struct Decoder {
    listed: &'static [&'static str],
    table: Table,
}

impl Decoder {
    /// For a connection that is seen from its beginning. Only fields with these names (lower case) are said.
    #[must_use]
    pub fn new(listed: &'static [&'static str]) -> Decoder {
        Decoder { listed, table: Table::new() }
    }

    /// For a connection that was joined midway.
    #[must_use]
    pub fn midway(listed: &'static [&'static str]) -> Decoder {
        Decoder { listed, table: Table::unseen() }
    }

    /// Header blocks may have been lost: nothing is known of the table any more.
    pub fn forget(&mut self) {
        self.table = Table::unseen();
    }

    /// Reads one whole block: that of HEADERS with its CONTINUATIONs. Where it can't be read, what was said before that
    /// stands, and the table is forgotten.
    pub fn decode(&mut self, block: &[u8], emit: &mut dyn FnMut(Field<'_>)) -> Result<(), Issue> {
        let read = self.read(block, emit);
        if read.is_none() {
            self.forget();
        }
        read.ok_or(Issue::HpackMalformed)
    }

    fn read(&mut self, block: &[u8], emit: &mut dyn FnMut(Field<'_>)) -> Option<()> {
        let mut rest = block;
        while !rest.is_empty() {
            let (piece, behind) = piece::next(rest)?;
            rest = behind;
            match piece {
                Piece::Indexed(index) => self.say(self.table.get(index)?, emit),
                Piece::Literal { name, value, keeps } => {
                    let entry = self.entry(&name, &value)?;
                    self.say(entry.field(), emit);
                    if keeps == Keeps::Entry {
                        self.table.insert(entry);
                    }
                }
                Piece::Resize(size) => self.table.resize(size),
            }
        }
        Some(())
    }

    fn say(&self, (name, value): (Name, Option<&str>), emit: &mut dyn FnMut(Field<'_>)) {
        match (name, value) {
            (Name::Known(name), Some(value)) if self.listed.contains(&name) => emit(Field::Known { name, value }),
            (Name::Unseen, _) => emit(Field::Unseen),
            (Name::Known(_) | Name::Other(_), _) => {}
        }
    }

    fn entry(&self, name: &Named<'_>, value: &Text<'_>) -> Option<Entry> {
        let name = match name {
            Named::Index(index) => self.table.get(*index)?.0,
            Named::Text(text) => {
                let name = plain(text)?;
                let listed = self.listed.iter().find(|listed| listed.as_bytes() == name);
                listed.map_or(Name::Other(name.len()), |name| Name::Known(name))
            }
        };
        match name {
            Name::Known(known) if self.listed.contains(&known) => Some(Entry::said(name, &plain(value)?)),
            name => {
                let mut len = 0;
                spell(value, &mut |_| len += 1)?;
                Some(Entry::unsaid(name, len))
            }
        }
    }
}

fn plain(text: &Text<'_>) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.bytes.len());
    spell(text, &mut |byte| plain.push(byte))?;
    Some(plain)
}

fn spell(text: &Text<'_>, emit: &mut dyn FnMut(u8)) -> Option<()> {
    match text.coding {
        Coding::Plain => text.bytes.iter().for_each(|byte| emit(*byte)),
        Coding::Huffman => huffman::decode(text.bytes, emit)?,
    }
    Some(())
}
