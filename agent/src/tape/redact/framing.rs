//! Masks the chunked transfer coding: sizes stay, extensions and trailers do not.

/// Most digits of a chunk size.
const MAX_DIGITS: u8 = 16;

/// Masks the framing of one body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mask {
    /// Before or in a size: how many digits have come, and what they say.
    Size {
        digits: u8,
        size: Size,
    },
    /// Behind a size, in its line.
    Extension(Size),
    Trailer,
    /// Not chunked coding.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Zero,
    More,
}

impl Default for Mask {
    fn default() -> Mask {
        Mask::Size { digits: 0, size: Size::Zero }
    }
}

impl Mask {
    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            let (next, masked) = self.after(byte);
            *self = next;
            out.push(masked);
        }
    }

    fn after(self, byte: u8) -> (Mask, u8) {
        match (self, byte) {
            (Mask::Broken, _) => (Mask::Broken, 0),
            // The line end behind a chunk's bytes.
            (Mask::Size { digits: 0, .. }, b'\n') => (self, byte),
            (Mask::Size { size, .. } | Mask::Extension(size), b'\n') => match size {
                Size::Zero => (Mask::Trailer, byte),
                Size::More => (Mask::default(), byte),
            },
            (_, b'\r') | (Mask::Trailer, b'\n') => (self, byte),
            (Mask::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_DIGITS => {
                let size = if byte == b'0' { size } else { Size::More };
                (Mask::Size { digits: digits + 1, size }, byte)
            }
            (Mask::Size { digits: 1.., size }, b';' | b' ' | b'\t') => (Mask::Extension(size), byte),
            (Mask::Extension(_) | Mask::Trailer, _) => (self, b'x'),
            (Mask::Size { .. }, _) => (Mask::Broken, 0),
        }
    }
}
