//! Masks message heads: what stays is method, path, status, header names, and the values that
//! [`kept`] lists. What makes a head unreadable makes the masked one unreadable.

use crate::wire::http1::{Opening, kept, sniff};

/// Longest header name that is compared.
const MAX_NAME: usize = 64;
/// Bytes of `1 200 ` behind `HTTP/1.`.
const STATUS_BYTES: u8 = 6;
const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

/// Masks one head.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    /// Of what message.
    wanted: Opening,
    at: At,
    /// What has come of the opening, the scheme or the header name under way.
    seen: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Opening,
    Target,
    Path,
    Query,
    Scheme,
    Authority,
    Version,
    /// So many bytes of it have come.
    Status(u8),
    Reason,
    Name,
    KeptValue,
    Value,
    /// It is no head: what is left of it may be anything.
    Broken,
    /// Behind its blank line. Bytes come here only where the head could not be read: they may be anything, too.
    Over,
}

impl Mask {
    /// For the head of a request or a response.
    pub(super) fn new(wanted: Opening) -> Mask {
        Mask { wanted, at: At::default(), seen: Vec::new() }
    }

    /// For another head of the same kind.
    pub(super) fn restart(&mut self) {
        *self = Mask::new(self.wanted);
    }

    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(bytes.iter().map(|byte| self.byte(*byte)));
    }

    fn byte(&mut self, byte: u8) -> u8 {
        if matches!(byte, b'\r' | b'\n') && self.at != At::Over {
            if byte == b'\n' {
                self.end_line();
            }
            return byte;
        }
        let (at, masked) = self.after(byte);
        self.at = at;
        masked
    }

    fn end_line(&mut self) {
        self.at = match self.at {
            // Blank lines may stand before a head.
            At::Opening if self.seen.is_empty() => At::Opening,
            At::Opening | At::Broken => At::Broken,
            At::Name if self.seen.is_empty() => At::Over,
            _ => At::Name,
        };
        self.seen.clear();
    }

    /// The state after a byte inside a line, and what stands in its place.
    fn after(&mut self, byte: u8) -> (At, u8) {
        match (self.at, byte) {
            (At::Opening, _) => {
                self.seen.push(byte);
                match sniff(&self.seen) {
                    None => (At::Opening, byte),
                    Some(Opening::Request) if self.wanted == Opening::Request => (At::Target, byte),
                    Some(Opening::Response) if self.wanted == Opening::Response => (At::Status(0), byte),
                    Some(_) => (At::Broken, 0),
                }
            }
            (At::Target, b'/' | b'*') => (At::Path, byte),
            (At::Target, _) => {
                self.seen.clear();
                self.scheme(byte)
            }
            (At::Scheme, _) => self.scheme(byte),
            (At::Path | At::Query | At::Authority, b' ') => (At::Version, byte),
            (At::Path | At::Authority, b'?' | b'#') => (At::Query, byte),
            (At::Authority, b'/') | (At::Path, _) => (At::Path, byte),
            (At::Query | At::Authority, _) => (self.at, b'x'),
            (At::Version, b'H' | b'T' | b'P' | b'/' | b'.' | b'0'..=b'9') => (At::Version, byte),
            (At::Status(seen), b'0'..=b'9' | b' ') if seen < STATUS_BYTES => (At::Status(seen + 1), byte),
            (At::Status(STATUS_BYTES) | At::Reason, _) => (At::Reason, b'x'),
            (At::Name, b':') => {
                let name = String::from_utf8_lossy(&self.seen).to_ascii_lowercase();
                (if kept(&name) { At::KeptValue } else { At::Value }, byte)
            }
            (At::Name, _) if self.seen.len() > MAX_NAME && is_token(byte) => (At::Name, b'x'),
            (At::Name, _) if is_token(byte) => {
                self.seen.push(byte);
                (At::Name, byte)
            }
            (At::KeptValue, _) | (At::Value, b' ' | b'\t') => (self.at, byte),
            (At::Value, _) if !byte.is_ascii_control() => (At::Value, b'x'),
            (At::Over, _) => (At::Over, 0),
            _ => (At::Broken, 0),
        }
    }

    /// In what stands for a path and does not begin with a slash.
    fn scheme(&mut self, byte: u8) -> (At, u8) {
        self.seen.push(byte);
        match SCHEMES.iter().find(|scheme| scheme.starts_with(&self.seen)) {
            Some(scheme) if scheme.len() == self.seen.len() => (At::Authority, byte),
            Some(_) => (At::Scheme, byte),
            None if byte == b' ' => (At::Version, byte),
            None => (At::Authority, b'x'),
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(head: &str, expected: &str) {
        let wanted = if head.trim_start().starts_with("HTTP/") { Opening::Response } else { Opening::Request };
        check_as(wanted, head, expected);
    }

    fn check_as(wanted: Opening, head: &str, expected: &str) {
        for at in 0..=head.len() {
            let (left, right) = head.as_bytes().split_at(at);
            let (mut mask, mut out) = (Mask::new(wanted), Vec::new());
            mask.mask(left, &mut out);
            mask.mask(right, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn what_stays_of_a_head() {
        check("POST /v1/completions?key=secret HTTP/1.1\r\n", "POST /v1/completions?xxxxxxxxxx HTTP/1.1\r\n");
        check("GET http://u:p@h/a?b HTTP/1.0\r\n", "GET http://xxxxx/a?x HTTP/1.0\r\n");
        check("CONNECT host:443 HTTP/1.1\r\n", "CONNECT hxxxxxxx HTTP/1.1\r\n");
        check("OPTIONS * HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n");
        check("\r\nHTTP/1.1 200 All right\r\n", "\r\nHTTP/1.1 200 xxxxxxxxx\r\n");
        check(
            "GET / HTTP/1.1\r\nHost: me\r\nContent-Type: a/b\r\n",
            "GET / HTTP/1.1\r\nHost: xx\r\nContent-Type: a/b\r\n",
        );
        check("GET / HTTP/1.1\r\nAuthorization:Bearer a\r\n\r\n", "GET / HTTP/1.1\r\nAuthorization:xxxxxx x\r\n\r\n");
    }

    #[test]
    fn what_is_no_head_stays_none() {
        check("PRINT this\r\nSecret", "PRI\0\0\0\0\0\0\0\r\n\0\0\0\0\0\0");
        check("PRI * HTTP/2.0\r\nSM: a", "PRI * HTTP/2.0\r\n\0\0\0\0\0");
        check("GET / HTTP/1.1\r\nno colon\r\n", "GET / HTTP/1.1\r\nno\0\0\0\0\0\0\r\n");
        check("GET / HTTP/1.1\r\n\r\nSecret\r\n", "GET / HTTP/1.1\r\n\r\n\0\0\0\0\0\0\0\0");
        check_as(Opening::Request, "HTTP/1.1 200 Secret", "HTTP/1\0\0\0\0\0\0\0\0\0\0\0\0\0");
        check_as(Opening::Response, "GET / HTTP/1.1\r\nSecret", "GET\0\0\0\0\0\0\0\0\0\0\0\r\n\0\0\0\0\0\0");
        check("GET / HTTP/1.1\r\na: b\r\n folded: c\r\n", "GET / HTTP/1.1\r\na: x\r\n\0\0\0\0\0\0\0\0\0\0\r\n");
    }
}
