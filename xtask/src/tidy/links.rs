//! Links between the files of the repository, and whether they lead anywhere. Links to other hosts are not followed.

use std::path::Path;

/// Where the project's documents lie; code cites them by their path from the root.
const DOCUMENTS: &str = "docs/";

/// Links and citations in `text`, the file `name`, that lead to no file.
pub fn dead(name: &str, text: &str, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let mut findings = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let links = if name.ends_with(".md") { links(line) } else { Vec::new() };
        let links = links.into_iter().filter(|link| !exists(&folder.join(link)));
        let cited = citations(line).filter(|cited| !exists(Path::new(cited)) && !exists(&folder.join(cited)));
        findings.extend(links.chain(cited).map(|dead| format!("{name}:{number}: {dead} does not exist")));
    }
    findings.dedup();
    findings
}

/// Targets of Markdown links that are paths, without their fragments.
fn links(line: &str) -> Vec<&str> {
    let targets = line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    let paths = targets.filter(|target| !target.contains("://")).filter_map(|target| target.split('#').next());
    paths.filter(|path| !path.is_empty()).collect()
}

/// Paths of documents: `docs/….md`.
fn citations(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices(DOCUMENTS).filter_map(|(at, _)| {
        let path = line.get(at..)?;
        let end = path.find(|c: char| !(c.is_ascii_alphanumeric() || "/._-".contains(c))).unwrap_or(path.len());
        path.get(..end).map(|path| path.trim_end_matches('.')).filter(|path| path.ends_with(".md"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_and_citations_are_found() {
        let known = ["D/a.md", "README.md", "D/../README.md"].map(|path| path.replace("D/", DOCUMENTS));
        let exists = |path: &Path| known.iter().any(|known| Path::new(known) == path);
        for (name, text, expected) in [
            ("README.md", "see [a](D/a.md#part), [b](https://example.org/b) and [c](#here)", 0),
            ("README.md", "see [a](gone.md) and `D/gone.md`.", 2),
            ("D/a.md", "[back](../README.md)", 0),
            ("D/a.md", "[back](README.md)", 1),
            ("src/lib.rs", "//! As measured: D/a.md. [x](y)", 0),
            ("src/lib.rs", "//! As measured (D/gone.md), D/folder, D/….md", 1),
        ] {
            // Written so that this file passes its own check.
            let text = text.replace("D/", DOCUMENTS);
            assert_eq!(dead(&name.replace("D/", DOCUMENTS), &text, &exists).len(), expected, "{text}");
        }
    }
}
