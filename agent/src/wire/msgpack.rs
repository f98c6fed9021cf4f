//! Reads MessagePack out of one slice, piece by piece, without allocating.
//!
//! It builds no tree: the caller asks for what it expects next and skips the rest. A value of another type than asked for
//! is passed over and absent; only what ends early, or is no MessagePack, is a [`Fault`]. Nothing recurses, so no
//! nesting is too deep.

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The slice ends within a value.
    Truncated,
    /// This is not what should stand here.
    Malformed,
}

/// A scalar, or the header of what contains others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// No value.
    Nil,
    /// True or false.
    Bool(bool),
    /// An integer that is not negative.
    Unsigned(u64),
    /// A negative integer.
    Negative(i64),
    /// A float of either width.
    Float(f64),
    /// A string; whether it is UTF-8 is not looked at.
    Text(&'a [u8]),
    /// Bytes, or the content of an extension.
    Bytes(&'a [u8]),
    /// So many values follow.
    Array(u32),
    /// So many keys follow, a value behind each.
    Map(u32),
}

/// Where in the slice the next value begins.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// The next token. Behind the header of an array or a map its elements come as tokens of their own.
    pub fn token(&mut self) -> Result<Token<'a>, Fault> {
        let [marker] = self.fixed()?;
        Ok(match marker {
            0x00..=0x7f => Token::Unsigned(marker.into()),
            0x80..=0x8f => Token::Map((marker & 0x0f).into()),
            0x90..=0x9f => Token::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Token::Text(self.take(marker & 0x1f)?),
            0xc0 => Token::Nil,
            0xc1 => return Err(Fault::Malformed),
            0xc2 => Token::Bool(false),
            0xc3 => Token::Bool(true),
            0xc4..=0xc6 => {
                let len = self.length(marker - 0xc4)?;
                Token::Bytes(self.take(len)?)
            }
            0xc7..=0xc9 => {
                let len = self.length(marker - 0xc7)?;
                self.extension(len)?
            }
            0xca => Token::Float(f32::from_be_bytes(self.fixed()?).into()),
            0xcb => Token::Float(f64::from_be_bytes(self.fixed()?)),
            0xcc => Token::Unsigned(u8::from_be_bytes(self.fixed()?).into()),
            0xcd => Token::Unsigned(u16::from_be_bytes(self.fixed()?).into()),
            0xce => Token::Unsigned(u32::from_be_bytes(self.fixed()?).into()),
            0xcf => Token::Unsigned(u64::from_be_bytes(self.fixed()?)),
            0xd0 => signed(i8::from_be_bytes(self.fixed()?).into()),
            0xd1 => signed(i16::from_be_bytes(self.fixed()?).into()),
            0xd2 => signed(i32::from_be_bytes(self.fixed()?).into()),
            0xd3 => signed(i64::from_be_bytes(self.fixed()?)),
            0xd4..=0xd8 => self.extension(1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.length(marker - 0xd9)?;
                Token::Text(self.take(len)?)
            }
            0xdc..=0xdd => Token::Array(self.length(marker - 0xdb)?),
            0xde..=0xdf => Token::Map(self.length(marker - 0xdd)?),
            0xe0..=0xff => signed(i8::from_be_bytes([marker]).into()),
        })
    }

    /// How many elements the array here has, its elements next; `None` where something else stands.
    pub fn array(&mut self) -> Result<Option<u32>, Fault> {
        self.ask(|token| match token {
            Token::Array(elements) => Some(elements),
            _ => None,
        })
    }

    /// How many entries the map here has, its first key next.
    pub fn map(&mut self) -> Result<Option<u32>, Fault> {
        self.ask(|token| match token {
            Token::Map(entries) => Some(entries),
            _ => None,
        })
    }

    /// The string here, where it is UTF-8.
    pub fn text(&mut self) -> Result<Option<&'a str>, Fault> {
        self.ask(|token| match token {
            Token::Text(bytes) => str::from_utf8(bytes).ok(),
            _ => None,
        })
    }

    /// The integer here, where it is not negative.
    pub fn unsigned(&mut self) -> Result<Option<u64>, Fault> {
        self.ask(|token| match token {
            Token::Unsigned(number) => Some(number),
            _ => None,
        })
    }

    /// The float here.
    pub fn float(&mut self) -> Result<Option<f64>, Fault> {
        self.ask(|token| match token {
            Token::Float(number) => Some(number),
            _ => None,
        })
    }

    /// Passes over one value with all that it contains.
    pub fn skip(&mut self) -> Result<(), Fault> {
        self.skip_values(1)
    }

    /// Passes over what `token`, read last, contains.
    pub fn skip_inside(&mut self, token: Token<'_>) -> Result<(), Fault> {
        self.skip_values(inside(token))
    }

    /// Passes over so many values. Each is at least a byte, so the slice bounds this whatever the number.
    fn skip_values(&mut self, values: u64) -> Result<(), Fault> {
        let mut left = values;
        while left > 0 {
            left = (left - 1).saturating_add(inside(self.token()?));
        }
        Ok(())
    }

    fn ask<T>(&mut self, wanted: impl FnOnce(Token<'a>) -> Option<T>) -> Result<Option<T>, Fault> {
        let token = self.token()?;
        let found = wanted(token);
        if found.is_none() {
            self.skip_inside(token)?;
        }
        Ok(found)
    }

    /// A length of 1, 2 or 4 bytes, for 0, 1 and 2.
    fn length(&mut self, width: u8) -> Result<u32, Fault> {
        Ok(match width {
            0 => u8::from_be_bytes(self.fixed()?).into(),
            1 => u16::from_be_bytes(self.fixed()?).into(),
            _ => u32::from_be_bytes(self.fixed()?),
        })
    }

    /// An extension's content, behind the byte that says of what type it is.
    fn extension(&mut self, len: u32) -> Result<Token<'a>, Fault> {
        let [_kind] = self.fixed()?;
        Ok(Token::Bytes(self.take(len)?))
    }

    fn take(&mut self, len: impl Into<u32>) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(len.into()).map_err(|_| Fault::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// How many values a token has directly inside.
fn inside(token: Token<'_>) -> u64 {
    match token {
        Token::Array(elements) => elements.into(),
        Token::Map(entries) => u64::from(entries).saturating_mul(2),
        _ => 0,
    }
}

fn signed<'a>(number: i64) -> Token<'a> {
    u64::try_from(number).map_or(Token::Negative(number), Token::Unsigned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use proptest::prelude::*;

    /// Every marker once, and the token it begins.
    #[rustfmt::skip]
    const TOKENS: &[(&[u8], Token<'static>)] = &[
        (b"\x00", Token::Unsigned(0)), (b"\x7f", Token::Unsigned(127)),
        (b"\xcc\xff", Token::Unsigned(255)), (b"\xcd\x01\x00", Token::Unsigned(256)),
        (b"\xce\x00\x01\x00\x00", Token::Unsigned(65536)),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", Token::Unsigned(u64::MAX)),
        (b"\xff", Token::Negative(-1)), (b"\xe0", Token::Negative(-32)), (b"\xd0\x80", Token::Negative(-128)),
        (b"\xd0\x05", Token::Unsigned(5)), (b"\xd1\xff\x00", Token::Negative(-256)),
        (b"\xd2\xff\xff\xff\xfe", Token::Negative(-2)),
        (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", Token::Negative(i64::MIN)),
        (b"\xca\x3f\x80\x00\x00", Token::Float(1.0)), (b"\xcb\xc0\x00\x00\x00\x00\x00\x00\x00", Token::Float(-2.0)),
        (b"\xc0", Token::Nil), (b"\xc2", Token::Bool(false)), (b"\xc3", Token::Bool(true)),
        (b"\xa0", Token::Text(b"")), (b"\xa2hi", Token::Text(b"hi")), (b"\xd9\x02hi", Token::Text(b"hi")),
        (b"\xda\x00\x02hi", Token::Text(b"hi")), (b"\xdb\x00\x00\x00\x02hi", Token::Text(b"hi")),
        (b"\xc4\x01x", Token::Bytes(b"x")), (b"\xc5\x00\x01x", Token::Bytes(b"x")),
        (b"\xc6\x00\x00\x00\x01x", Token::Bytes(b"x")),
        (b"\xd4\x03x", Token::Bytes(b"x")), (b"\xd5\x03xy", Token::Bytes(b"xy")), (b"\xd6\x03abcd", Token::Bytes(b"abcd")),
        (b"\xd7\x03abcdefgh", Token::Bytes(b"abcdefgh")), (b"\xd8\x03abcdefghabcdefgh", Token::Bytes(b"abcdefghabcdefgh")),
        (b"\xc7\x01\x03x", Token::Bytes(b"x")), (b"\xc8\x00\x01\x03x", Token::Bytes(b"x")),
        (b"\xc9\x00\x00\x00\x01\x03x", Token::Bytes(b"x")),
        (b"\x92", Token::Array(2)), (b"\xdc\x00\x16", Token::Array(22)), (b"\xdd\xff\xff\xff\xff", Token::Array(u32::MAX)),
        (b"\x82", Token::Map(2)), (b"\xde\x00\x10", Token::Map(16)), (b"\xdf\x00\x00\x00\x01", Token::Map(1)),
    ];

    #[test]
    fn every_marker_is_its_token_and_every_prefix_is_truncated() {
        for (bytes, expected) in TOKENS {
            let mut reader = Reader::new(bytes);
            assert_eq!(reader.token(), Ok(*expected), "{bytes:02x?}");
            assert!(reader.rest.is_empty(), "{bytes:02x?}");
            for len in 0..bytes.len() {
                assert_eq!(Reader::new(&bytes[..len]).token(), Err(Fault::Truncated), "{:02x?}", &bytes[..len]);
            }
        }
        assert_eq!(Reader::new(b"\xc1").token(), Err(Fault::Malformed));
    }

    #[test]
    fn another_type_is_absent_and_passed_over_whole() {
        // [1, {"a": [nil]}], then "x".
        let bytes = b"\x92\x01\x81\xa1a\x91\xc0\xa1x";
        let read = |ask: &dyn Fn(&mut Reader<'static>) -> bool| {
            let mut reader = Reader::new(bytes);
            assert!(!ask(&mut reader));
            assert_eq!(reader.text(), Ok(Some("x")));
        };
        read(&|reader| reader.text().unwrap().is_some());
        read(&|reader| reader.unsigned().unwrap().is_some());
        read(&|reader| reader.float().unwrap().is_some());
        read(&|reader| reader.map().unwrap().is_some());
        assert_eq!(Reader::new(bytes).array(), Ok(Some(2)));
        assert_eq!(Reader::new(b"\xa1\xff").text(), Ok(None), "no UTF-8");
        assert_eq!(Reader::new(b"\xff").unsigned(), Ok(None), "negative");
    }

    #[test]
    fn depth_and_claimed_sizes_cost_nothing() {
        let mut deep = vec![0x91; 1 << 20];
        assert_eq!(Reader::new(&deep).skip(), Err(Fault::Truncated));
        deep.push(0xc0);
        assert_eq!(Reader::new(&deep).skip(), Ok(()));
        assert_eq!(Reader::new(&[0xdf; 5]).skip(), Err(Fault::Truncated));
        assert_eq!(Reader::new(&[0xdd; 500]).skip(), Err(Fault::Truncated));
        assert_eq!(Reader::new(b"\x92\xc0\xc1").skip(), Err(Fault::Malformed));
    }

    proptest! {
        #[test]
        fn whatever_comes_a_token_takes_bytes_or_is_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            loop {
                let before = reader.rest.len();
                match reader.token() {
                    Ok(_) => prop_assert!(reader.rest.len() < before),
                    Err(_) => break,
                }
            }
            let _ = Reader::new(&bytes).skip();
        }
    }
}
