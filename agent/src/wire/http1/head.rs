//! Message heads: collects one until its blank line, reads it, and says how the body behind it is framed.

use super::body::Body;
use crate::issue::Issue;
use crate::wire::{RequestHead, ResponseHead};

/// Longest head that is collected.
const MAX_BYTES: usize = 64 * 1024;
/// Most header lines in a head.
const MAX_HEADERS: usize = 128;
/// Room that an idle connection may keep for its next head.
const IDLE_BYTES: usize = 4 * 1024;

/// Headers whose values may be held: what framing, timing, identity of a trace and nothing else needs. Never
/// credentials, never cookies.
const KEPT: &[&str] = &[
    "b3",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "sec-websocket-extensions",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
    "x-b3-flags",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-correlation-id",
    "x-request-id",
];

/// Whether the values of a header may be held. `name` in lower case.
#[must_use]
pub fn kept(name: &str) -> bool {
    KEPT.contains(&name)
}

/// A head under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Whether the line under way holds anything but a carriage return.
    line: Line,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Blank,
    Begun,
}

/// How far a head has come.
pub(super) enum Progress {
    /// Its blank line has not come yet.
    More,
    /// It is whole.
    Whole,
    /// It passed the bound.
    TooLong,
}

impl Buffer {
    /// Whether nothing of a head has come.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What has come.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets what has come.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES);
        self.line = Line::Blank;
    }

    /// Takes from the front of `input` what belongs to the head; returns the rest.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> (Progress, &'a [u8]) {
        // Blank lines before a message are to be skipped (RFC 9112, 2.2).
        let blank = if self.is_empty() { input.iter().take_while(|byte| is_line_end(**byte)).count() } else { 0 };
        let input = input.get(blank..).unwrap_or_default();

        let mut end = None;
        for (at, &byte) in input.iter().enumerate() {
            match (byte, self.line) {
                (b'\r', _) => {}
                (b'\n', Line::Blank) => {
                    end = Some(at + 1);
                    break;
                }
                (b'\n', Line::Begun) => self.line = Line::Blank,
                _ => self.line = Line::Begun,
            }
        }
        let (head, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, &[]));
        if self.bytes.len() + head.len() > MAX_BYTES {
            return (Progress::TooLong, rest);
        }
        self.bytes.extend_from_slice(head);
        (if end.is_some() { Progress::Whole } else { Progress::More }, rest)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Reads a whole request head, and how its body is framed.
pub(super) fn request(bytes: &[u8]) -> Result<(RequestHead, Option<Body>), Issue> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    whole(parsed.parse(bytes))?;
    let headers = held(parsed.headers);
    let body = match coding(&headers) {
        Coding::Chunked => Some(Body::chunked()),
        // Where a request ends would be unknowable (RFC 9112, 6.3).
        Coding::Other => return Err(Issue::HttpMalformed),
        Coding::None => length(&headers)?.and_then(Body::length),
    };
    let method = parsed.method.unwrap_or_default().to_owned();
    let path = path(parsed.path.unwrap_or_default()).to_owned();
    Ok((RequestHead { method, path, headers }, body))
}

/// Reads a whole response head, and how its body is framed if this status and the request's method allow one.
pub(super) fn response(bytes: &[u8]) -> Result<(ResponseHead, Option<Body>), Issue> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut lines);
    whole(parsed.parse(bytes))?;
    let headers = held(parsed.headers);
    let body = match coding(&headers) {
        Coding::Chunked => Some(Body::chunked()),
        Coding::Other => Some(Body::until_close()),
        Coding::None => length(&headers)?.map_or_else(|| Some(Body::until_close()), Body::length),
    };
    Ok((ResponseHead { status: parsed.code.unwrap_or_default(), headers }, body))
}

fn whole(parsed: httparse::Result<usize>) -> Result<(), Issue> {
    match parsed {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Issue::HttpHeadTooLong),
        Ok(httparse::Status::Partial) | Err(_) => Err(Issue::HttpMalformed),
    }
}

fn held(lines: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    lines
        .iter()
        .map(|line| (line.name.to_ascii_lowercase(), line.value))
        .filter(|(name, _)| kept(name))
        .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
        .collect()
}

/// The path of a request target, without query, scheme and authority.
fn path(target: &str) -> &str {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let Some((_, behind_scheme)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return target;
    };
    behind_scheme.find('/').and_then(|at| behind_scheme.get(at..)).unwrap_or("/")
}

enum Coding {
    None,
    Chunked,
    Other,
}

/// The last transfer coding, which is the one that frames. It overrides any content-length (RFC 9112, 6.3).
fn coding(headers: &[(String, String)]) -> Coding {
    let Some((_, codings)) = headers.iter().rfind(|(name, _)| name == "transfer-encoding") else {
        return Coding::None;
    };
    let last = codings.rsplit(',').next().unwrap_or_default().trim();
    if last.eq_ignore_ascii_case("chunked") { Coding::Chunked } else { Coding::Other }
}

/// The content-length. Several that disagree make the message unreadable.
fn length(headers: &[(String, String)]) -> Result<Option<u64>, Issue> {
    let said = headers.iter().filter(|(name, _)| name == "content-length").flat_map(|(_, value)| value.split(','));
    let mut length = None;
    for value in said.map(str::trim) {
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let value: u64 = value.parse().ok().filter(|_| digits).ok_or(Issue::HttpMalformed)?;
        if length.is_some_and(|length| length != value) {
            return Err(Issue::HttpMalformed);
        }
        length = Some(value);
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_kept() {
        for name in
            ["authorization", "cookie", "set-cookie", "x-api-key", "api-key", "proxy-authorization", "user-agent"]
        {
            assert!(!kept(name), "{name}");
        }
        assert!(KEPT.is_sorted() && KEPT.iter().all(|name| *name == name.to_ascii_lowercase()));
    }

    #[test]
    fn paths() {
        for (target, expected) in [
            ("/v1/completions", "/v1/completions"),
            ("/v1/completions?key=secret", "/v1/completions"),
            ("/a?next=http://b/c", "/a"),
            ("/a#b", "/a"),
            ("http://host:8000/v1/models?x", "/v1/models"),
            ("http://host:8000", "/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(path(target), expected, "{target}");
        }
    }
}
