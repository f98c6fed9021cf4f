//! Which Debian packages files are of: for their licenses, for scanners, and for the bill of materials.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The architecture that it is for.
    pub architecture: String,
    /// What dpkg knows of it.
    status: String,
}

/// Whose these files are; of a file that no package has, nothing is said. Not on Debian: none.
pub fn owners(files: &BTreeSet<PathBuf>) -> Result<Vec<Package>> {
    if !Path::new("/var/lib/dpkg/status").is_file() {
        return Ok(Vec::new());
    }
    let mut names: BTreeSet<String> = files.iter().filter_map(|file| owner(file)).collect();
    // It is made when this is installed, so no package has it.
    names.extend(files.iter().any(|file| file.ends_with("ca-certificates.crt")).then(|| "ca-certificates".to_owned()));
    names.iter().map(|name| package(name)).collect()
}

/// Lays down what scanners look for in images without dpkg, and the packages' copyrights.
pub fn describe(root: &Path, files: &BTreeSet<PathBuf>) -> Result<()> {
    let (status, documents) = (root.join("var/lib/dpkg/status.d"), root.join("usr/share/doc"));
    for package in owners(files)? {
        fs::create_dir_all(&status)?;
        fs::write(status.join(&package.name), &package.status)?;
        let copyright = Path::new("/usr/share/doc").join(&package.name).join("copyright");
        let folder = documents.join(&package.name);
        fs::create_dir_all(&folder)?;
        fs::copy(&copyright, folder.join("copyright")).with_context(|| format!("{}", copyright.display()))?;
    }
    Ok(())
}

/// dpkg knows a file by the name under which it was unpacked: before or after /lib moved below /usr.
fn owner(file: &Path) -> Option<String> {
    let moved = Path::new("/usr").join(file.strip_prefix("/").ok()?);
    let whole = fs::canonicalize(file).ok()?;
    let before = whole.strip_prefix("/usr").map(|path| Path::new("/").join(path));
    let candidates = [Some(file.to_owned()), Some(moved), Some(whole.clone()), before.ok()];
    candidates.into_iter().flatten().find_map(|path| {
        let output = Command::new("dpkg-query").arg("--search").arg(path).output().ok()?;
        let line = String::from_utf8(output.stdout).ok()?;
        line.split(':').next().filter(|name| !name.is_empty()).map(str::to_owned)
    })
}

fn package(name: &str) -> Result<Package> {
    let output = Command::new("dpkg-query").args(["--status", name]).output().context("dpkg-query")?;
    let status = String::from_utf8(output.stdout)?;
    let fields: BTreeMap<&str, &str> = status.lines().filter_map(|line| line.split_once(": ")).collect();
    let field = |key: &str| fields.get(key).map(|value| (*value).to_owned()).with_context(|| format!("{name}: {key}"));
    let (version, architecture) = (field("Version")?, field("Architecture")?);
    Ok(Package { name: name.to_owned(), version, architecture, status })
}
