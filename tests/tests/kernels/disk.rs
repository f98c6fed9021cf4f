//! The second disk of a machine: the release, the small server with its client, and the shell's unit.

use inferscope_tests::agent::binary;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it is to be seen in the machine.
pub const MOUNTED: &str = "/mnt";
/// Room for two programs and the agent, all without debugging symbols.
const SIZE: &str = "192M";

/// Makes one in an empty folder.
pub fn make(folder: &Path) -> PathBuf {
    let files = folder.join("files");
    let wanted = files.join("units/multi-user.target.wants");
    fs::create_dir_all(&wanted).expect("the target folder is writable");
    let mine = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kernels").join(name);
    fs::copy(mine("shell.sh"), files.join("shell.sh")).expect("a file");
    fs::copy(mine("shell.service"), files.join("units/shell.service")).expect("a file");
    symlink("../shell.service", wanted.join("shell.service")).expect("a link");
    for program in [env!("CARGO_BIN_EXE_demo-server"), env!("CARGO_BIN_EXE_demo-load")].map(Path::new) {
        let name = program.file_name().expect("a program has a name");
        done(Command::new("strip").arg("--strip-debug").arg("-o").arg(files.join(name)).arg(program));
    }
    done(Command::new("cp").args(["-r", "--no-target-directory"]).arg(release()).arg(files.join("release")));
    let disk = folder.join("disk.ext4");
    let mut make = Command::new("mke2fs");
    done(make.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]).arg(&files).arg(&disk).arg(SIZE));
    fs::remove_dir_all(files).expect("the files are on the disk now");
    disk
}

/// The folder that the tarball of `cargo xtask dist` is made of.
fn release() -> PathBuf {
    let dist = binary().with_file_name("dist");
    let mut entries = fs::read_dir(&dist).into_iter().flatten().flatten().map(|entry| entry.path());
    let found = entries.find(|path| path.is_dir());
    found.unwrap_or_else(|| panic!("no release in {}: run cargo xtask dist --debug", dist.display()))
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
