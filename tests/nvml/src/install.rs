//! For tests: puts the library and its scenario into a folder.

use crate::scenario::{FILE, Scenario};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The name under which programs look for the library.
pub const LIBRARY: &str = "libnvidia-ml.so.1";

/// The library that cargo built beside the test that runs.
fn built() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    Ok(test.with_file_name("libinferscope_nvml.so"))
}

/// Puts a copy of the library into a folder; one that is there is replaced as a package manager would. Returns its path.
///
/// # Errors
/// As the file system says.
pub fn install(folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let (new, library) = (folder.join("library.new"), folder.join(LIBRARY));
    fs::copy(built()?, &new)?;
    fs::rename(new, &library)?;
    Ok(library)
}

impl Scenario {
    /// The world is this from now on, for the library in that folder.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join("scenario.new");
        fs::write(&new, serde_json::to_string_pretty(self)?)?;
        fs::rename(new, folder.join(FILE))
    }
}
