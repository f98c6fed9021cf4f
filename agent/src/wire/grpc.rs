//! gRPC's messages within the body of a stream: a flag, a length, so many bytes. It holds no bytes of them, and reads
//! nothing in them: [`super::protobuf`] does.
//!
//! Bytes that were not copied keep the place while they lie within a message; where they hide a prefix, the rest of the
//! body says nothing.

/// Bytes of the flag and the length.
const PREFIX_BYTES: usize = 5;

/// What a body holds, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A message begins.
    Begin {
        /// How its bytes are to be read.
        coding: Coding,
        /// How many bytes it has.
        length: u32,
    },
    /// Bytes of it.
    Bytes(&'a [u8]),
    /// Bytes of it that were not copied.
    Elided(u64),
    /// It is complete.
    End,
    /// What follows can't be told apart any more.
    Lost,
}

/// Whether a message is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// It is not.
    Plain,
    /// By what `grpc-encoding` names.
    Compressed,
}

/// Reads the body of one direction of one stream.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Prefix([u8; PREFIX_BYTES], usize),
    Message { left: u32 },
    Lost,
}

impl Default for State {
    fn default() -> State {
        State::Prefix([0; PREFIX_BYTES], 0)
    }
}

impl Reader {
    /// Reads on.
    pub fn push<'a>(&mut self, bytes: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.step(rest, emit);
        }
    }

    /// Counts bytes that were not copied.
    pub fn elide(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'static>)) {
        match &mut self.state {
            State::Message { left } if bytes <= u64::from(*left) => {
                *left -= u32::try_from(bytes).unwrap_or(*left);
                emit(Item::Elided(bytes));
                self.end_if_complete(emit);
            }
            State::Lost => {}
            State::Message { .. } | State::Prefix(..) => self.lose(emit),
        }
    }

    /// Whether what follows can't be told apart any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost)
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        matches!(self.state, State::Message { .. })
    }

    fn step<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> &'a [u8] {
        match &mut self.state {
            State::Prefix(prefix, have) => {
                let room = prefix.get_mut(*have..).unwrap_or_default();
                let (came, rest) = input.split_at_checked(room.len()).unwrap_or((input, &[]));
                room.iter_mut().zip(came).for_each(|(to, from)| *to = *from);
                *have += came.len();
                if *have == PREFIX_BYTES {
                    let prefix = *prefix;
                    self.begin(prefix, emit);
                }
                rest
            }
            State::Message { left } => {
                let (bytes, rest) = input.split_at_checked(*left as usize).unwrap_or((input, &[]));
                *left -= u32::try_from(bytes.len()).unwrap_or(*left);
                emit(Item::Bytes(bytes));
                self.end_if_complete(emit);
                rest
            }
            State::Lost => &[],
        }
    }

    fn begin<'a>(&mut self, [flag, l0, l1, l2, l3]: [u8; PREFIX_BYTES], emit: &mut dyn FnMut(Item<'a>)) {
        let coding = match flag {
            0 => Coding::Plain,
            1 => Coding::Compressed,
            _ => return self.lose(emit),
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        emit(Item::Begin { coding, length });
        self.state = State::Message { left: length };
        self.end_if_complete(emit);
    }

    fn end_if_complete<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        if let State::Message { left: 0 } = self.state {
            emit(Item::End);
            self.state = State::default();
        }
    }

    fn lose<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        self.state = State::Lost;
        emit(Item::Lost);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;
    use proptest::prelude::*;

    fn said(pushes: &[Result<&[u8], u64>]) -> String {
        let (mut reader, mut said) = (Reader::default(), String::new());
        for push in pushes {
            let mut emit = |item: Item<'_>| match item {
                Item::Begin { coding: Coding::Plain, length } => said.push_str(&format!("{length}<")),
                Item::Begin { coding: Coding::Compressed, length } => said.push_str(&format!("z{length}<")),
                Item::Bytes(bytes) => said.push_str(&bytes.escape_ascii().to_string()),
                Item::Elided(bytes) => said.push_str(&format!("~{bytes}")),
                Item::End => said.push('>'),
                Item::Lost => said.push('!'),
            };
            match push {
                Ok(bytes) => reader.push(bytes, &mut emit),
                Err(bytes) => reader.elide(*bytes, &mut emit),
            }
        }
        said
    }

    const BODY: &[u8] = b"\0\0\0\0\x03abc\0\0\0\0\0\x01\0\0\0\x02zz\0\0\0\0\x01e";

    #[test]
    fn messages_cut_anywhere() {
        for at in 0..=BODY.len() {
            assert_eq!(said(&[Ok(&BODY[..at]), Ok(&BODY[at..])]), "3<abc>0<>z2<zz>1<e>");
        }
        let every: Vec<_> = BODY.chunks(1).map(Ok).collect();
        assert_eq!(said(&every), "3<abc>0<>z2<zz>1<e>");
    }

    #[test]
    fn holes() {
        assert_eq!(said(&[Ok(&BODY[..6]), Err(2), Ok(&BODY[8..13])]), "3<a~2>0<>");
        assert_eq!(said(&[Ok(&BODY[..6]), Err(3), Ok(&BODY[8..13])]), "3<a!");
        assert_eq!(said(&[Ok(&BODY[..4]), Err(1), Ok(BODY)]), "!");
        assert_eq!(said(&[Ok(b"\x02\0\0\0\x01a")]), "!", "no such flag");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(pushes in prop::collection::vec((any::<bool>(), prop::collection::vec(0u8..4, 0..20)), 0..20)) {
            let pushes: Vec<_> =
                pushes.iter().map(|(copied, bytes)| if *copied { Ok(bytes.as_slice()) } else { Err(bytes.len() as u64) }).collect();
            said(&pushes);
        }
    }
}
