//! What a connection's first bytes are.

/// What speaks on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// An HTTP/1 request.
    Request,
    /// An HTTP/1 response.
    Response,
    /// A TLS record with a handshake.
    Tls,
    /// The HTTP/2 preface.
    Http2,
    /// Something else: ZeroMQ, a wake-up byte, a file.
    Other,
}

const OPENINGS: &[(&[u8], Opening)] = &[
    (b"GET ", Opening::Request),
    (b"POST ", Opening::Request),
    (b"PUT ", Opening::Request),
    (b"PATCH ", Opening::Request),
    (b"DELETE ", Opening::Request),
    (b"HEAD ", Opening::Request),
    (b"OPTIONS ", Opening::Request),
    (b"CONNECT ", Opening::Request),
    (b"TRACE ", Opening::Request),
    (b"HTTP/1.", Opening::Response),
    (b"\x16\x03", Opening::Tls),
    (b"PRI * HTTP/2.0\r\n", Opening::Http2),
];

/// What `first`, the first bytes of a stream, begin; `None` while they are too few to tell.
///
/// It errs towards [`Opening::Other`]: a method that is not in the standard's own list, or blank lines before a
/// request, are `Other`. Noise is called a message only where it begins with a whole method and its blank.
#[must_use]
pub fn sniff(first: &[u8]) -> Option<Opening> {
    if let Some((_, opening)) = OPENINGS.iter().find(|(start, _)| first.starts_with(start)) {
        return Some(*opening);
    }
    let undecided = OPENINGS.iter().any(|(start, _)| start.starts_with(first));
    (!undecided).then_some(Opening::Other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn every_prefix_is_undecided_until_it_is_right() {
        for (bytes, expected, decided_at) in [
            (&b"GET /health HTTP/1.1\r\n"[..], Opening::Request, 4),
            (b"POST /v1/completions HTTP/1.1\r\n", Opening::Request, 5),
            (b"PATCH /x HTTP/1.1\r\n", Opening::Request, 6),
            (b"HEAD / HTTP/1.0\r\n", Opening::Request, 5),
            (b"HTTP/1.1 200 OK\r\n", Opening::Response, 7),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", Opening::Tls, 2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opening::Http2, 16),
            // Other is decided by the first byte that fits nothing.
            (b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", Opening::Other, 1),
            (b"\x16\x01", Opening::Other, 2),
            (b"POSTAL", Opening::Other, 5),
            (b"HTTP/2 200", Opening::Other, 6),
            (b"get / HTTP/1.1", Opening::Other, 1),
            (b"\r\nGET / HTTP/1.1", Opening::Other, 1),
        ] {
            for len in 0..=bytes.len() {
                let said = sniff(&bytes[..len]);
                assert_eq!(said, (len >= decided_at).then_some(expected), "{:?}", bytes[..len].escape_ascii());
            }
        }
    }
}
