//! A YAML text as values, and the line of each value. The only caller of `serde_yaml`'s parser.
//!
//! `serde_yaml` keeps no positions in its values, but its errors have them. So the line of a path is found by reading
//! the text once more with a reader that descends along the path and fails, on purpose, at its end. That is exact for
//! every style of YAML (flow, quoted, anchored), and only paid when there is a problem to report.

use super::problem::{Path, Step};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;
use std::fmt;

/// Parses a document. The error is the line, where known, and a sentence.
pub fn parse(text: &str) -> Result<Value, (Option<usize>, String)> {
    serde_yaml::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let message = error.to_string();
        // The location is reported in front of the message, not at its end.
        let sentence = message.split(" at line ").next().unwrap_or(&message).to_owned();
        (line, sentence)
    })
}

/// The line of what `path` leads to: the key where it is an entry of a mapping, the item where it is one of a list.
pub fn line(text: &str, path: &Path) -> Option<usize> {
    let found = Descend(&path.0).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    found.location().map(|location| location.line())
}

/// Reads along a path and fails at its end; does not fail where the path leads nowhere.
struct Descend<'p>(&'p [Step]);

/// Reads a key, and fails at the wanted one where that is the end of the path.
struct Key<'p> {
    wanted: &'p str,
    last: bool,
}

/// Fails at any value: it has no `visit` method, and says so at the value's position.
struct Here;

impl<'de> DeserializeSeed<'de> for Descend<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0.first() {
            None => deserializer.deserialize_any(Here),
            Some(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Descend<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.0.split_first() else { return Err(A::Error::custom("not a list")) };
        while let Some(found) = map.next_key_seed(Key { wanted, last: rest.is_empty() })? {
            if found {
                map.next_value_seed(Descend(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.0.split_first() else {
            return Err(A::Error::custom("not a mapping"));
        };
        for _ in 0..*wanted {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Descend(rest))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        match (key == self.wanted, self.last) {
            (true, true) => Err(E::custom("here")),
            (found, _) => Ok(found),
        }
    }
}

impl Visitor<'_> for Here {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}
