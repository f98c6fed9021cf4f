//! The W3C trace context of a request: its `traceparent` header.
//!
//! An id that breaks a rule of the standard is none: a trace must not be made up.

/// What of a trace a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that asked.
    pub parent: [u8; 8],
    /// The flags as they stand: 1 says that the trace is recorded.
    pub flags: u8,
}

impl TraceContext {
    /// Reads a `traceparent`. Later versions may say more behind what is known today.
    #[must_use]
    pub fn parse(header: &str) -> Option<TraceContext> {
        let mut parts = header.trim_matches([' ', '\t']).split('-');
        let [version] = bytes(parts.next()?)?;
        let trace = bytes(parts.next()?)?;
        let parent = bytes(parts.next()?)?;
        let [flags] = bytes(parts.next()?)?;
        let is_known = match version {
            0xff => false,
            0 => parts.next().is_none(),
            _ => true,
        };
        let means_something = trace != [0; 16] && parent != [0; 8];
        (is_known && means_something).then_some(TraceContext { trace, parent, flags })
    }
}

/// Lower-case hexadecimal digits of exactly so many bytes.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example() {
        let context = TraceContext::parse(GOOD).unwrap();
        assert_eq!(context.trace[..2], [0x4b, 0xf9]);
        assert_eq!(context.parent, [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!(context.flags, 1);
        assert_eq!(TraceContext::parse(&format!(" {GOOD}\t")), Some(context));
        assert_eq!(TraceContext::parse(&GOOD.replacen("00", "cc", 1)), Some(context), "a later version");
        assert_eq!(TraceContext::parse(&format!("cc{}-what", GOOD.trim_start_matches("00"))), Some(context));
    }

    #[test]
    fn what_breaks_a_rule_is_none() {
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-what"),
            &format!("{GOOD}0"),
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e473\u{e9}-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }
}
