//! The files of the repository, as links name them: what is tracked, whatever else lies on this disk. Reads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Where most code lies; documents about it leave this out.
const CODE: &str = "agent/src";

/// Tracked files, the folders that they lie in, and the headings of those that have some.
#[derive(Debug, Default)]
pub struct Tree {
    paths: BTreeSet<PathBuf>,
    anchors: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Tree {
    /// Adds a file and its folders, with the names that its headings are linked by.
    pub fn add(&mut self, name: &str, anchors: BTreeSet<String>) {
        let path = Path::new(name);
        self.paths.extend(path.ancestors().map(Path::to_owned));
        if !anchors.is_empty() {
            self.anchors.insert(path.to_owned(), anchors);
        }
    }

    /// Whether a path from the root leads to a file or folder.
    pub fn has(&self, path: &Path) -> bool {
        normal(path).is_some_and(|path| self.paths.contains(&path))
    }

    /// Whether `path`, a file that there is, has a heading that is linked as `anchor`.
    pub fn has_anchor(&self, path: &Path, anchor: &str) -> bool {
        normal(path).and_then(|path| self.anchors.get(&path)).is_some_and(|anchors| anchors.contains(anchor))
    }

    /// Whether a path in running text can only mean a file of the repository: it begins with a folder of ours, and no part of
    /// it stands for something else (`NAME.rs`).
    pub fn is_ours(&self, path: &str) -> bool {
        let Some((first, _)) = path.split_once('/') else { return false };
        let stands_for_another = path.split('/').any(|part| {
            let stem = part.split('.').next().unwrap_or(part);
            !part.ends_with(".md") && stem.len() > 2 && stem.bytes().all(|byte| byte.is_ascii_uppercase())
        });
        !first.is_empty() && !stands_for_another && self.bases().any(|base| self.has(&base.join(first)))
    }

    /// Whether a path in running text leads somewhere: from the root or from [`CODE`], to a folder, a file or a module.
    pub fn is_known(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.bases().any(|base| self.has(&base.join(path)) || self.has(&base.join(format!("{path}.rs"))))
    }

    fn bases(&self) -> impl Iterator<Item = &'static Path> {
        [Path::new(""), Path::new(CODE)].into_iter()
    }
}

/// Without `.` and `..`; absent where it leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if normal.pop() => {}
            Component::Normal(part) => normal.push(part),
            _ => return None,
        }
    }
    Some(normal)
}
