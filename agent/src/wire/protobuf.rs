//! The fields of one protobuf message by their numbers, as far as they are asked for; the bytes of others are passed over
//! and never held. A message may come in pieces, and with holes between them.

/// Most bytes kept of a field.
pub const MAX_KEPT: usize = 256;
/// Most bytes of a varint.
const MAX_VARINT: u32 = 10;

/// A field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// What it says.
    pub value: Value<'a>,
}

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Its first bytes: a string, that was asked for.
    Bytes(&'a [u8]),
    /// Anything else.
    Unread,
}

/// Reads one message.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Numbers of the fields that are asked for.
    wanted: &'static [u32],
    state: State,
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the key of a field.
    Key(Varint),
    /// In its length.
    Length(u32, Varint),
    /// In a number that is its value.
    Number(Varint),
    /// So many bytes of a field that was asked for are to come.
    Take(u32, u64),
    /// So many bytes are to be passed over.
    Skip(u64),
    /// It is no message, or a hole hid what follows.
    Broken,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Varint {
    value: u64,
    bytes: u32,
}

impl Varint {
    /// Takes one byte: the number, once it is complete.
    fn take(self, byte: u8) -> Result<u64, Varint> {
        // What does not fit into 64 bits is cut off, as every reader does.
        let bits = u64::from(byte & 0x7f).checked_shl(7 * self.bytes).unwrap_or_default();
        let varint = Varint { value: self.value | bits, bytes: self.bytes + 1 };
        if byte & 0x80 == 0 { Ok(varint.value) } else { Err(varint) }
    }
}

const NEXT: State = State::Key(Varint { value: 0, bytes: 0 });

impl Reader {
    /// For a message of which these fields are asked for.
    #[must_use]
    pub fn new(wanted: &'static [u32]) -> Reader {
        Reader { wanted, state: NEXT, held: Vec::new() }
    }

    /// Reads on.
    pub fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Field<'_>)) {
        let mut rest = bytes;
        while let Some((&first, behind)) = rest.split_first() {
            rest = match self.state {
                State::Take(number, left) => self.hold(number, left, rest, emit),
                State::Skip(left) => {
                    let within = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    self.pass(left, within as u64);
                    rest.get(within..).unwrap_or_default()
                }
                State::Broken => return,
                State::Key(_) | State::Length(..) | State::Number(_) => {
                    self.byte(first, emit);
                    behind
                }
            };
        }
    }

    /// Counts bytes that were not copied.
    pub fn elide(&mut self, bytes: u64) {
        match self.state {
            State::Skip(left) if bytes <= left => self.pass(left, bytes),
            _ => self.state = State::Broken,
        }
    }

    fn byte(&mut self, byte: u8, emit: &mut dyn FnMut(Field<'_>)) {
        self.state = match self.state {
            State::Key(varint) => match varint.take(byte) {
                Ok(key) => self.field(key, emit),
                Err(varint) => State::Key(varint),
            },
            State::Length(number, varint) => match varint.take(byte) {
                Ok(length) => return self.begin(number, length, emit),
                Err(varint) => State::Length(number, varint),
            },
            State::Number(varint) => varint.take(byte).map_or_else(State::Number, |_| NEXT),
            state => state,
        };
        if let State::Key(varint) | State::Length(_, varint) | State::Number(varint) = self.state
            && varint.bytes >= MAX_VARINT
        {
            self.state = State::Broken;
        }
    }

    fn field(&mut self, key: u64, emit: &mut dyn FnMut(Field<'_>)) -> State {
        let Some(number) = u32::try_from(key >> 3).ok().filter(|number| *number > 0) else { return State::Broken };
        let state = match key & 7 {
            0 => State::Number(Varint::default()),
            1 => State::Skip(8),
            2 => return State::Length(number, Varint::default()),
            5 => State::Skip(4),
            // Groups are long gone.
            _ => return State::Broken,
        };
        emit(Field { number, value: Value::Unread });
        state
    }

    fn begin(&mut self, number: u32, length: u64, emit: &mut dyn FnMut(Field<'_>)) {
        if self.wanted.contains(&number) {
            self.held.clear();
            self.state = State::Take(number, length);
            if length == 0 {
                self.end(number, emit);
            }
            return;
        }
        emit(Field { number, value: Value::Unread });
        self.state = if length > 0 { State::Skip(length) } else { NEXT };
    }

    fn hold<'a>(&mut self, number: u32, left: u64, input: &'a [u8], emit: &mut dyn FnMut(Field<'_>)) -> &'a [u8] {
        let within = usize::try_from(left).unwrap_or(usize::MAX);
        let (bytes, rest) = input.split_at_checked(within).unwrap_or((input, &[]));
        let room = MAX_KEPT.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        let left = left.saturating_sub(bytes.len() as u64);
        self.state = State::Take(number, left);
        if left == 0 {
            self.end(number, emit);
        }
        rest
    }

    fn end(&mut self, number: u32, emit: &mut dyn FnMut(Field<'_>)) {
        emit(Field { number, value: Value::Bytes(&self.held) });
        self.state = NEXT;
    }

    fn pass(&mut self, left: u64, bytes: u64) {
        self.state = if left > bytes { State::Skip(left - bytes) } else { NEXT };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;
    use proptest::prelude::*;

    const WANTED: &[u32] = &[1, 3];

    fn said(pushes: &[Result<&[u8], u64>]) -> String {
        let (mut reader, mut said) = (Reader::new(WANTED), Vec::new());
        for push in pushes {
            let mut emit = |field: Field<'_>| {
                said.push(match field.value {
                    Value::Bytes(bytes) => format!("{}={}", field.number, bytes.escape_ascii()),
                    Value::Unread => field.number.to_string(),
                });
            };
            match push {
                Ok(bytes) => reader.push(bytes, &mut emit),
                Err(bytes) => reader.elide(*bytes),
            }
        }
        said.join(" ")
    }

    /// A name, an empty version, an id, a number, a fixed one of each size, and a field of a large number.
    const MESSAGE: &[u8] =
        b"\x0a\x04echo\x12\0\x1a\x02h1\x20\xac\x02\x29\0\0\0\0\0\0\0\0\x35\0\0\0\0\x82\x06\x06canary";

    #[test]
    fn fields_cut_anywhere() {
        let expected = "1=echo 2 3=h1 4 5 6 96";
        for at in 0..=MESSAGE.len() {
            assert_eq!(said(&[Ok(&MESSAGE[..at]), Ok(&MESSAGE[at..])]), expected);
        }
        let every: Vec<_> = MESSAGE.chunks(1).map(Ok).collect();
        assert_eq!(said(&every), expected);
    }

    #[test]
    fn holes() {
        let input = b"\x2a\x09";
        assert_eq!(said(&[Ok(&MESSAGE[..6]), Ok(input), Err(9), Ok(&MESSAGE[8..12])]), "1=echo 5 3=h1");
        assert_eq!(said(&[Ok(&MESSAGE[..6]), Ok(input), Err(10), Ok(&MESSAGE[8..12])]), "1=echo 5");
        assert_eq!(said(&[Ok(&MESSAGE[..4]), Err(2), Ok(&MESSAGE[8..12])]), "");
    }

    #[test]
    fn what_is_no_message_says_nothing() {
        for bytes in [&b"\x02\0"[..], b"\x0b\0", b"\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
            assert_eq!(said(&[Ok(bytes), Ok(MESSAGE)]), "");
        }
    }

    #[test]
    fn long_fields_are_cut() {
        let long = [&b"\x0a\xac\x02"[..], &[b'm'; 300], b"\x1a\x01i"].concat();
        assert_eq!(said(&[Ok(&long)]), format!("1={} 3=i", "m".repeat(MAX_KEPT)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(pushes in prop::collection::vec((0u8..4, prop::collection::vec(any::<u8>(), 0..20)), 0..20)) {
            let pushes: Vec<_> =
                pushes.iter().map(|(what, bytes)| if *what > 0 { Ok(bytes.as_slice()) } else { Err(bytes.len() as u64) }).collect();
            said(&pushes);
        }
    }
}
