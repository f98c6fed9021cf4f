//! The tables that indexes point into: the static one (RFC 7541, appendix A), and behind it the entries that the encoder
//! made, the newest first.
//!
//! Where not all of it was seen, entries whose size is unknown are taken for as small as they may be, and the table for
//! as large as it may be. An entry is then held for longer than the encoder holds it, which does no harm: indexes count
//! from the newest, and an encoder never points at what it has evicted.

use std::collections::VecDeque;

/// The size of a table that nobody changed.
const DEFAULT_BYTES: usize = 4096;
/// The largest table that is held. Of a larger one, the oldest entries are unseen.
const MAX_BYTES: usize = 64 * 1024;
/// What each entry counts beside its name and value.
const OVERHEAD: usize = 32;

/// The entries of one direction.
#[derive(Clone, Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// Bytes of all entries, at least.
    size: usize,
    /// Bytes that it may hold, at most.
    limit: usize,
    history: History,
}

/// Whether there may be entries behind those that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    Whole,
    Unseen,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    name: Name,
    value: Option<Box<str>>,
    /// Of the value.
    len: usize,
}

/// The name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Known(&'static str),
    /// One that nobody asked for, of so many bytes.
    Other(usize),
    /// That of an entry which was made before anybody looked.
    Unseen,
}

impl Table {
    /// That of a new connection.
    pub(super) fn new() -> Table {
        Table { entries: VecDeque::new(), size: 0, limit: DEFAULT_BYTES, history: History::Whole }
    }

    /// One of which nothing was seen.
    pub(super) fn unseen() -> Table {
        Table { limit: MAX_BYTES, history: History::Unseen, ..Table::new() }
    }

    /// Name and value of the field at an index; `None` where there can be none.
    pub(super) fn get(&self, index: u64) -> Option<(Name, Option<&str>)> {
        let index = usize::try_from(index.checked_sub(1)?).ok()?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((Name::Known(name), Some(value)));
        }
        match self.entries.get(index - STATIC.len()) {
            Some(entry) => Some((entry.name, entry.value.as_deref())),
            None if self.history == History::Unseen => Some((Name::Unseen, None)),
            None => None,
        }
    }

    /// A new entry, behind which old ones make room. One that is larger than the table only makes room.
    pub(super) fn insert(&mut self, entry: Entry) {
        let size = entry.size();
        self.shrink(self.limit.saturating_sub(size));
        if size <= self.limit {
            self.size = self.size.saturating_add(size);
            self.entries.push_front(entry);
        }
    }

    /// The encoder changes the table's size.
    pub(super) fn resize(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.limit = bytes.min(MAX_BYTES);
        self.shrink(self.limit);
        if bytes < OVERHEAD {
            // No entry fits: all is known again.
            self.history = History::Whole;
        } else if bytes > MAX_BYTES {
            self.history = History::Unseen;
        }
    }

    fn shrink(&mut self, bytes: usize) {
        while self.size > bytes {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size = self.size.saturating_sub(oldest.size());
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

impl Entry {
    /// A field of which all is held.
    pub(super) fn said(name: Name, value: &[u8]) -> Entry {
        Entry { name, value: Some(String::from_utf8_lossy(value).into()), len: value.len() }
    }

    /// A field of whose value only the length is held.
    pub(super) fn unsaid(name: Name, len: usize) -> Entry {
        Entry { name, value: None, len }
    }

    pub(super) fn field(&self) -> (Name, Option<&str>) {
        (self.name, self.value.as_deref())
    }

    /// What it counts, at least.
    fn size(&self) -> usize {
        let name = match self.name {
            Name::Known(name) => name.len(),
            Name::Other(len) => len,
            Name::Unseen => 0,
        };
        name.saturating_add(self.len).saturating_add(OVERHEAD)
    }
}

const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];
