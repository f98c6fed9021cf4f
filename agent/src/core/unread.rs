//! Bodies that nobody reads (uploads, pictures, pages): how much of them the kernel side need not copy.

use super::Volume;
use crate::wire::Side;

/// A body of which more than this is to come is worth asking for less of it.
const LARGE_BODY: u64 = 64 * 1024;

/// What to ask for while so much of a body is to come, on a connection whose client has sent `received` bytes; `None` where
/// that is little, or the body's end is not known.
pub(super) fn volume(side: Side, left: Option<u64>, received: u64) -> Option<Volume> {
    let left = left.filter(|left| *left > LARGE_BODY)?;
    // A request's body ends at a known place; an answer is over when the client asks again.
    let received = match side {
        Side::Request => received.saturating_add(left).saturating_sub(1),
        Side::Response => received,
    };
    Some(Volume::SizeOnlyWhile { received })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_where_less_is_asked_for() {
        let large = LARGE_BODY + 1;
        for (side, left, expected) in [
            (Side::Request, Some(large), Some(100 + large - 1)),
            (Side::Response, Some(large), Some(100)),
            (Side::Request, Some(LARGE_BODY), None),
            (Side::Request, None, None),
        ] {
            let expected = expected.map(|received| Volume::SizeOnlyWhile { received });
            assert_eq!(volume(side, left, 100), expected, "{side:?} {left:?}");
        }
    }
}
