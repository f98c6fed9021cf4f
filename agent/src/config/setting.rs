//! How a setting is read from YAML and written to it, and the [`settings!`] macro that declares sections of them.
//!
//! A section is declared once: the macro makes the struct, its defaults, its reader and its writer from the same lines,
//! and the doc comment of a setting is the comment in the default file. Reading never stops at a problem.

use super::problem::{Path, Problems};
use super::suggest::did_you_mean;
use super::yaml::Yaml;
use serde_yaml::{Mapping, Value};
use std::net::SocketAddr;

/// A value that a configuration file may hold.
pub trait Setting: Sized {
    /// Reads it. What is wrong goes to `problems`; `None` where nothing can be made of the value.
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self>;

    /// Writes it.
    fn write(&self) -> Yaml;
}

/// Declares a section: `/// comment`, `name: Type = default` and, where not every value of the type will do,
/// `, must rule`; a rule takes the value by reference and returns what is wrong with it.
macro_rules! settings {
    ($(#[doc = $about:literal])* $section:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $default:expr $(, must $rule:expr)?;)+
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $section {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for $section {
            fn default() -> Self {
                $section { $($name: $default,)+ }
            }
        }

        impl $crate::config::setting::Setting for $section {
            fn read(
                value: &serde_yaml::Value,
                path: &$crate::config::problem::Path,
                problems: &mut $crate::config::problem::Problems,
            ) -> Option<Self> {
                use $crate::config::setting::{Setting, entries, entry};
                let mut section = Self::default();
                let found = entries(value, path, &[$(stringify!($name)),+], problems)?;
                $(if let Some((value, path)) = entry(found, path, stringify!($name)) {
                    if let Some(value) = <$type as Setting>::read(value, &path, problems) {
                        $(if let Err(wrong) = $rule(&value) { problems.add(&path, wrong); })?
                        section.$name = value;
                    }
                })+
                Some(section)
            }

            fn write(&self) -> $crate::config::yaml::Yaml {
                $crate::config::yaml::Yaml::Section(vec![$($crate::config::yaml::Entry {
                    comment: &[$($doc),+],
                    key: stringify!($name).to_owned(),
                    value: self.$name.write(),
                },)+])
            }
        }
    };
}
pub(super) use settings;

/// The entries of a mapping; keys that are not among `known` are problems.
pub fn entries<'v>(value: &'v Value, path: &Path, known: &[&str], problems: &mut Problems) -> Option<&'v Mapping> {
    let found = mapping(value, path, problems)?;
    for key in found.keys() {
        let name = key_name(key);
        if !known.contains(&name.as_str()) {
            let hint = did_you_mean(&name, known.iter().copied());
            problems.add(&path.key(&name), format!("unknown setting{hint}"));
        }
    }
    Some(found)
}

/// A mapping with any keys.
pub fn mapping<'v>(value: &'v Value, path: &Path, problems: &mut Problems) -> Option<&'v Mapping> {
    let found = value.as_mapping();
    if found.is_none() {
        problems.add(path, expected("settings of the form `key: value`", value));
    }
    found
}

/// The value of an entry and its path. A key without a value is as good as no key: its settings may be commented out.
pub fn entry<'v>(entries: &'v Mapping, path: &Path, name: &str) -> Option<(&'v Value, Path)> {
    let value = entries.get(name).filter(|value| !value.is_null())?;
    Some((value, path.key(name)))
}

/// The items of a list.
pub fn items<'v>(value: &'v Value, path: &Path, problems: &mut Problems) -> Option<&'v [Value]> {
    let found = value.as_sequence();
    if found.is_none() {
        problems.add(path, expected("a list", value));
    }
    found.map(Vec::as_slice)
}

/// A key as text; YAML allows keys that are none.
pub fn key_name(key: &Value) -> String {
    key.as_str().map_or_else(|| shown(key), str::to_owned)
}

/// "expected …, found …"
pub fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {}", shown(found))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("{value:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(tagged) => format!("the tag {}", tagged.tag),
    }
}

/// What `as_type` makes of `value`, else a problem.
fn read_as<T>(
    value: &Value,
    path: &Path,
    problems: &mut Problems,
    what: &str,
    as_type: impl FnOnce(&Value) -> Option<T>,
) -> Option<T> {
    let read = as_type(value);
    if read.is_none() {
        problems.add(path, expected(what, value));
    }
    read
}

impl Setting for bool {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        read_as(value, path, problems, "true or false", Value::as_bool)
    }

    fn write(&self) -> Yaml {
        Yaml::Scalar(self.to_string())
    }
}

impl Setting for u32 {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        read_as(value, path, problems, "a whole number", |value| u32::try_from(value.as_u64()?).ok())
    }

    fn write(&self) -> Yaml {
        Yaml::Scalar(self.to_string())
    }
}

impl Setting for f64 {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        read_as(value, path, problems, "a number", |value| value.as_f64().filter(|number| number.is_finite()))
    }

    fn write(&self) -> Yaml {
        Yaml::Scalar(self.to_string())
    }
}

impl Setting for String {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        read_as(value, path, problems, "text", |value| value.as_str().map(str::to_owned))
    }

    fn write(&self) -> Yaml {
        Yaml::text(self)
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        read_as(value, path, problems, "an address like 127.0.0.1:9464", |value| value.as_str()?.parse().ok())
    }

    fn write(&self) -> Yaml {
        Yaml::text(&self.to_string())
    }
}

impl Setting for Vec<f64> {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let items = items(value, path, problems)?;
        let number =
            |(index, value): (usize, &Value)| read_as(value, &path.index(index), problems, "a number", Value::as_f64);
        items.iter().enumerate().map(number).collect()
    }

    fn write(&self) -> Yaml {
        Yaml::Flow(self.iter().map(f64::to_string).collect())
    }
}
