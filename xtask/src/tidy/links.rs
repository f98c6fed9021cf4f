//! Links between the files of the repository, and whether they lead anywhere: links and their headings, paths in backticks, and
//! documents that code cites. Links to other hosts are not followed.

use super::markdown;
use super::tree::Tree;
use std::path::Path;

/// Where the project's documents lie; code cites them by their path from the root.
const DOCUMENTS: &str = "docs/";

/// What is named in `text`, the file `name`, and is not there.
pub fn dead(name: &str, text: &str, tree: &Tree) -> Vec<String> {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    if name.ends_with(".md") {
        for (number, line) in markdown::prose(text) {
            let links = markdown::links(line).into_iter().filter(|link| !leads(Path::new(name), link, tree));
            let ours = |path: &&str| tree.is_ours(path) && !tree.is_known(path) && !tree.has(&folder.join(path));
            let paths = markdown::paths(line).filter(ours).map(str::to_owned);
            findings.extend(links.chain(paths).map(|dead| format!("{name}:{number}: {dead} does not exist")));
        }
    }
    for (number, line) in (1..).zip(text.lines()) {
        let cited = citations(line).filter(|cited| !tree.has(Path::new(cited)) && !tree.has(&folder.join(cited)));
        findings.extend(cited.map(|dead| format!("{name}:{number}: {dead} does not exist")));
    }
    findings.sort();
    findings.dedup();
    findings
}

/// Whether a link in the file `from` leads to a file, and to a heading where it names one.
fn leads(from: &Path, link: &str, tree: &Tree) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { from.to_owned() } else { from.parent().unwrap_or(Path::new("")).join(path) };
    tree.has(&target) && (anchor.is_empty() || tree.has_anchor(&target, anchor))
}

/// Paths of documents: `docs/….md`, but of no other repository's.
fn citations(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(DOCUMENTS).filter_map(|(at, _)| {
        let (before, path) = line.split_at_checked(at)?;
        if before.ends_with('/') && !before.ends_with("../") {
            return None;
        }
        let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c))).unwrap_or(path.len());
        path.get(..end).map(|path| path.trim_end_matches('.')).filter(|path| path.ends_with(".md"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written with `D` for the folder of documents, so that this file passes its own check.
    fn ours(text: &str) -> String {
        text.replace("D/", DOCUMENTS)
    }

    #[test]
    fn what_is_named_and_not_there_is_found() {
        let mut tree = Tree::default();
        for (name, text) in [("D/a.md", "# Part one\n"), ("README.md", "## Here"), ("agent/src/core/mod.rs", "")] {
            tree.add(&ours(name), markdown::anchors(text));
        }
        tree.add("agent/src/host/clock.rs", Default::default());
        for (name, text, expected) in [
            ("README.md", "see [a](D/a.md#part-one), [b](https://example.org/b) and [c](#here)", 0),
            ("README.md", "see [a](D/a.md#part-two), [b](#there)", 2),
            ("README.md", "see [a](gone.md) and `D/gone.md`.", 2),
            ("README.md", "```\n[a](gone.md)\n```", 0),
            ("README.md", "`agent/src/core`, `core/mod.rs`, `host/clock`, `agent/src/engine/NAME.rs`, `text/plain`", 0),
            ("README.md", "`agent/src/gone.rs`, `core/gone`, `text/gone`", 2),
            ("D/a.md", "<https://example.org/main/D/gone.md>, ../D/gone.md", 1),
            ("D/a.md", "[back](../README.md), [out](../../README.md)", 1),
            ("D/a.md", "[back](README.md)", 1),
            ("src/lib.rs", "//! As measured: D/a.md. [x](y)", 0),
            ("src/lib.rs", "//! As measured (D/gone.md), D/folder, D/….md", 1),
        ] {
            let found = dead(&ours(name), &ours(text), &tree);
            assert_eq!(found.len(), expected, "{text}: {found:?}");
        }
    }
}
