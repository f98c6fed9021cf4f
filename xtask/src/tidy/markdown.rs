//! As much of Markdown as a link check needs: headings, links, and what stands in backticks. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A line of text outside of fenced blocks, with its number from 1.
pub fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The names that headings are linked by: in lower case, without punctuation, numbered where one occurs again.
pub fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text)
        .filter_map(|(_, line)| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let numbered = headings.map(|heading| {
        let anchor = anchor(heading);
        let count = seen.entry(anchor.clone()).or_default();
        *count += 1;
        if *count == 1 { anchor } else { format!("{anchor}-{}", *count - 1) }
    });
    numbered.collect()
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().chars().filter(kept).flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Targets of links to files and headings of this repository: `[…](target)` and `[…]: target`.
pub fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect();
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let definition = text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
    let foreign = |target: &&str| target.contains("://") || target.starts_with("mailto:") || target.is_empty();
    inline.chain(definition).filter(|target| !foreign(target)).map(str::to_owned).collect()
}

/// What stands in backticks and could be a path: its characters, and a slash inside.
pub fn paths(line: &str) -> impl Iterator<Item = &str> {
    let path = |span: &&str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        span.contains('/') && span.chars().all(known)
    };
    line.split('`').skip(1).step_by(2).filter(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_linked_as_github_links_them() {
        let text = "# A `b_c`: d, e\n## Twice\n```\n# no heading\n```\n## Twice\n#no heading\n## `http: edges`\n";
        let expected = ["a-b_c-d-e", "twice", "twice-1", "http-edges"];
        assert_eq!(anchors(text), expected.map(str::to_owned).into());
    }

    #[test]
    fn links_are_found_and_code_is_not() {
        for (line, expected) in [
            ("[a](x.md) and [b](y.md#z \"title\"), ![c](c.png)", vec!["x.md", "y.md#z", "c.png"]),
            ("[a](https://example.org/x.md) [b](#here)", vec!["#here"]),
            ("`[a](x.md)` is how", vec![]),
            ("[a]: ../x.md", vec!["../x.md"]),
        ] {
            assert_eq!(links(line), expected, "{line}");
        }
    }

    #[test]
    fn paths_are_what_can_be_one() {
        let line = "`a/b.rs`, `x`, `a/*.rs`, `cargo run a/b`, a/b and `c/`";
        assert_eq!(paths(line).collect::<Vec<_>>(), ["a/b.rs", "c/"]);
    }
}
