//! HPACK's Huffman code (RFC 7541, appendix B). It is canonical: the codes follow from their lengths, in the order of
//! length and then of symbol, so only the lengths stand here.

/// The longest code.
const LONGEST: usize = 30;

/// Bits of each symbol's code.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The codes of one length.
#[derive(Clone, Copy)]
struct Codes {
    bits: u32,
    first: u32,
    count: u32,
    /// Of the first one's symbol in [`SYMBOLS`].
    index: u32,
}

const CODES: [Codes; LONGEST] = codes();
const SYMBOLS: [u16; 257] = symbols();

#[allow(clippy::indexing_slicing)] // the compiler runs it
const fn codes() -> [Codes; LONGEST] {
    let mut codes = [Codes { bits: 0, first: 0, count: 0, index: 0 }; LONGEST];
    let (mut bits, mut first, mut index) = (1, 0, 0);
    while bits <= LONGEST {
        let (mut count, mut symbol) = (0, 0);
        while symbol < LENGTHS.len() {
            count += (LENGTHS[symbol] as usize == bits) as u32;
            symbol += 1;
        }
        codes[bits - 1] = Codes { bits: bits as u32, first, count, index };
        first = (first + count) << 1;
        index += count;
        bits += 1;
    }
    codes
}

#[allow(clippy::indexing_slicing)] // the compiler runs it
const fn symbols() -> [u16; 257] {
    let mut symbols = [0; 257];
    let (mut bits, mut index) = (1, 0);
    while bits <= LONGEST {
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == bits {
                symbols[index] = symbol as u16;
                index += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    symbols
}

/// Says the text that `coded` stands for; `None` where it is no such code: then what was said is not to be used.
pub(super) fn decode(coded: &[u8], emit: &mut dyn FnMut(u8)) -> Option<()> {
    let (mut pending, mut have) = (0_u64, 0_u32);
    for byte in coded {
        pending = pending << 8 | u64::from(*byte);
        have += 8;
        while let Some((symbol, bits)) = first(pending, have) {
            // The code's end within a text is an error.
            emit(u8::try_from(symbol).ok()?);
            have -= bits;
            pending &= (1 << have) - 1;
        }
        if have > LONGEST as u32 {
            return None;
        }
    }
    // The padding: less than a byte, and the beginning of the end's code, which is all ones.
    (have < 8 && pending == (1 << have) - 1).then_some(())
}

/// The symbol that the last `have` bits of `pending` begin with, and its bits.
fn first(pending: u64, have: u32) -> Option<(u16, u32)> {
    let codes = CODES.iter().take_while(|codes| codes.bits <= have);
    let mut found = codes.filter_map(|codes| {
        let code = u32::try_from(pending >> (have - codes.bits)).ok()?;
        let nth = code.checked_sub(codes.first).filter(|nth| *nth < codes.count)?;
        let symbol = SYMBOLS.get((codes.index + nth) as usize)?;
        Some((*symbol, codes.bits))
    });
    found.next()
}

/// A text of `len` symbols without meaning whose code is exactly `bytes` long; `None` where there is none.
pub(super) fn filler(len: usize, bytes: usize) -> Option<Vec<u8>> {
    let mut coded = Coded::default();
    let mut left = bytes.checked_mul(8)?;
    for behind in (0..len).rev() {
        // The longest code that leaves enough for those behind it.
        let room = left.checked_sub(behind.checked_mul(5)?)?;
        let codes = CODES.iter().rev().find(|codes| codes.count > 0 && codes.bits as usize <= room)?;
        coded.push(codes.first, codes.bits);
        left -= codes.bits as usize;
    }
    Some(coded.finish()).filter(|coded| coded.len() == bytes)
}

/// Codes put behind each other.
#[derive(Default)]
struct Coded {
    bytes: Vec<u8>,
    pending: u64,
    have: u32,
}

impl Coded {
    fn push(&mut self, code: u32, bits: u32) {
        self.pending = self.pending << bits | u64::from(code);
        self.have += bits;
        while self.have >= 8 {
            self.have -= 8;
            self.bytes.push((self.pending >> self.have) as u8);
            self.pending &= (1 << self.have) - 1;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.have > 0 {
            let padding = 8 - self.have;
            self.push((1 << padding) - 1, padding);
        }
        self.bytes
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use proptest::prelude::*;

    pub(crate) fn encode(text: &[u8]) -> Vec<u8> {
        let mut coded = Coded::default();
        for byte in text {
            let bits = LENGTHS[usize::from(*byte)];
            let codes = CODES[usize::from(bits) - 1];
            let symbols = &SYMBOLS[codes.index as usize..];
            let nth = symbols.iter().position(|symbol| *symbol == u16::from(*byte)).unwrap();
            coded.push(codes.first + nth as u32, codes.bits);
        }
        coded.finish()
    }

    fn text(coded: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        decode(coded, &mut |byte| text.push(byte)).map(|()| text)
    }

    #[test]
    fn the_code_is_complete_and_ends_with_the_end() {
        let share: u64 = LENGTHS.iter().map(|bits| 1 << (LONGEST - usize::from(*bits))).sum();
        assert_eq!(share, 1 << LONGEST);
        assert_eq!(SYMBOLS[256], 256);
    }

    #[test]
    fn bad_padding_and_an_end_within_are_refused() {
        assert_eq!(text(&[]), Some(vec![]));
        assert_eq!(text(&[0b0000_0111]), Some(b"0".to_vec()));
        assert_eq!(text(&[0b0000_0110]), None, "padding is ones");
        assert_eq!(text(&[0b0000_0111, 0xff]), None, "padding is less than a byte");
        assert_eq!(text(&[0xff; 4]), None, "the end");
        assert_eq!(text(&[0xff; 9]), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(text(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn a_filler_is_as_long_in_both_ways(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let coded = encode(&bytes);
            let filler = filler(bytes.len(), coded.len()).unwrap();
            prop_assert_eq!(filler.len(), coded.len());
            prop_assert_eq!(text(&filler).unwrap().len(), bytes.len());
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            text(&bytes);
        }
    }
}
