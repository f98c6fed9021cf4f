//! HPACK's integers (RFC 7541, 5.1): a prefix of a few bits, then 7 bits a byte, the lowest first.

/// Most bytes behind the prefix: those of a 32-bit number. Lengths and indexes are far smaller.
const MAX_BYTES: usize = 5;

/// The integer at the front of `input` whose first byte has a prefix of so many bits, and what follows it. `None` where it
/// is cut off or larger than any that means something.
pub(super) fn read(input: &[u8], prefix: u32) -> Option<(u64, &[u8])> {
    let (first, mut rest) = input.split_first()?;
    let full = (1_u64 << prefix) - 1;
    let mut value = u64::from(*first) & full;
    if value < full {
        return Some((value, rest));
    }
    for nth in 0..MAX_BYTES {
        let (byte, behind) = rest.split_first()?;
        rest = behind;
        value = value.saturating_add(u64::from(byte & 0x7f) << (7 * nth));
        if byte & 0x80 == 0 {
            return Some((value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1.
    #[test]
    fn the_rfcs_examples() {
        assert_eq!(read(&[0b0000_1010, 9], 5), Some((10, &[9][..])));
        assert_eq!(read(&[0b1111_1111, 0b1001_1010, 0b0000_1010], 5), Some((1337, &[][..])));
        assert_eq!(read(&[42], 8), Some((42, &[][..])));
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_refused() {
        assert_eq!(read(&[], 5), None);
        assert_eq!(read(&[0xff], 7), None);
        assert_eq!(read(&[0xff, 0x80], 7), None);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 7), None);
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f], 7), Some((127 + u64::from(u32::MAX), &[][..])));
    }
}
