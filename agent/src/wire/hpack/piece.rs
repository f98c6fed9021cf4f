//! The pieces of a header block as they stand there (RFC 7541, 6). It knows no table.

use super::integer;

/// One representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A field of the table.
    Indexed(u64),
    /// A field that is spelled out, at least its value.
    Literal { name: Named<'a>, value: Text<'a>, keeps: Keeps },
    /// The table's size is so many bytes from now on.
    Resize(u64),
}

/// A literal's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// That of an entry.
    Index(u64),
    Text(Text<'a>),
}

/// Whether a literal becomes an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    Entry,
    Nothing,
}

/// A string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub coding: Coding,
    /// As they stand in the block.
    pub bytes: &'a [u8],
}

/// How a string's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Huffman,
}

/// The piece at the front of `block`, and what follows it; `None` where there is none.
pub(super) fn next(block: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let first = *block.first()?;
    if first & 0x80 != 0 {
        let (index, rest) = integer::read(block, 7)?;
        return Some((Piece::Indexed(index), rest));
    }
    if first & 0xe0 == 0x20 {
        let (size, rest) = integer::read(block, 5)?;
        return Some((Piece::Resize(size), rest));
    }
    let (prefix, keeps) = if first & 0x40 != 0 { (6, Keeps::Entry) } else { (4, Keeps::Nothing) };
    let (name, rest) = match integer::read(block, prefix)? {
        (0, rest) => {
            let (text, rest) = text(rest)?;
            (Named::Text(text), rest)
        }
        (index, rest) => (Named::Index(index), rest),
    };
    let (value, rest) = text(rest)?;
    Some((Piece::Literal { name, value, keeps }, rest))
}

fn text(input: &[u8]) -> Option<(Text<'_>, &[u8])> {
    let coding = if *input.first()? & 0x80 == 0 { Coding::Plain } else { Coding::Huffman };
    let (len, rest) = integer::read(input, 7)?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((Text { coding, bytes }, rest))
}
