//! Finds a byte in many: the one loop in which long strings and lines are skipped.

/// Bytes looked at together. The compiler turns the comparison of a block into a few vector instructions.
const BLOCK: usize = 32;

/// Where the first `one` or `other` stands.
pub(super) fn either(bytes: &[u8], one: u8, other: u8) -> Option<usize> {
    let hit = |byte: &u8| *byte == one || *byte == other;
    let clear = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |any, byte| any | hit(byte)))
        .count()
        .saturating_mul(BLOCK);
    let found = bytes.get(clear..)?.iter().position(hit)?;
    Some(clear + found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn the_first_of_either_at_every_place() {
        for len in 0..100 {
            let mut bytes = vec![b'.'; len];
            assert_eq!(either(&bytes, b'a', b'b'), None);
            for at in (0..len).rev() {
                bytes[at] = if at % 2 == 0 { b'a' } else { b'b' };
                assert_eq!(either(&bytes, b'a', b'b'), Some(at), "{len} bytes");
            }
        }
    }
}
