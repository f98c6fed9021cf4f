//! Settings as YAML text for people: each key under its comment. Pure; writes only what [`super::setting`] declares.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    /// A number, a quoted string or a word.
    Scalar(String),
    /// Scalars on one line: `[0.1, 0.2]`.
    Flow(Vec<String>),
    /// Entries, one under the other.
    Section(Vec<Entry>),
    /// Items, one under the other.
    List(Vec<Yaml>),
}

/// One entry of a section.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Lines of the comment above it, each with the space that a doc comment begins with.
    pub comment: &'static [&'static str],
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Yaml,
}

impl Yaml {
    /// A string, quoted: YAML's double-quoted style contains JSON's.
    #[must_use]
    pub fn text(text: &str) -> Yaml {
        Yaml::Scalar(serde_json::Value::from(text).to_string())
    }

    /// The value as a document.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = String::new();
        match self {
            Yaml::Section(entries) => section(&mut out, entries, 0),
            other => inline(&mut out, other, 0),
        }
        out
    }
}

fn section(out: &mut String, entries: &[Entry], indent: usize) {
    for (index, Entry { comment, key, value }) in entries.iter().enumerate() {
        if index > 0 && !comment.is_empty() {
            out.push('\n');
        }
        for line in *comment {
            let _ = writeln!(out, "{:indent$}#{line}", "");
        }
        let _ = write!(out, "{:indent$}{key}:", "");
        inline(out, value, indent.saturating_add(2));
    }
}

fn section_text(entries: &[Entry], indent: usize) -> String {
    let mut out = String::new();
    section(&mut out, entries, indent);
    out
}

/// Writes what follows a key or a dash, up to and with the end of the line.
fn inline(out: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Scalar(scalar) => {
            let _ = writeln!(out, " {scalar}");
        }
        Yaml::Flow(scalars) => {
            let _ = writeln!(out, " [{}]", scalars.join(", "));
        }
        Yaml::Section(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Yaml::List(items) if items.is_empty() => out.push_str(" []\n"),
        Yaml::Section(entries) => {
            out.push('\n');
            section(out, entries, indent);
        }
        Yaml::List(items) => {
            out.push('\n');
            for item in items {
                let text = match item {
                    Yaml::Section(entries) => section_text(entries, indent.saturating_add(2)),
                    other => other.document(),
                };
                let _ = writeln!(out, "{:indent$}- {}", "", text.trim());
            }
        }
    }
}
