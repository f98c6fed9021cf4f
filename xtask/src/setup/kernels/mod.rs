//! Kernels of Debian's with an initramfs each, and a Debian on a disk that boots under all of them in QEMU.
//!
//! Of that Debian nothing but the service manager is used; what a test needs beside lies on a second disk, which the test
//! makes. Nothing here is bootable by itself: `tests/tests/kernels` starts the machines.

use super::{apt, deploy};
use crate::privilege::Privilege;
use crate::{cache, step};
use anyhow::{Context, Result};
use debian::Kernel;
use std::fs;
use std::path::{Path, PathBuf};

mod debian;
mod initramfs;

/// What boots them, and what their disks are made with.
const PACKAGES: &[&str] = &["qemu-system-x86", "busybox-static", "e2fsprogs", "kmod", "xz-utils"];
/// Room on the disk of the root: what is installed on it there goes to a copy that ends with the machine.
const SIZE: &str = "1G";

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All that there are.
    All,
    /// The one that CI boots, of Debian's oldest release with a kernel that the agent runs on.
    One,
}

impl Choice {
    fn kernels(self) -> impl Iterator<Item = &'static Kernel> {
        debian::KERNELS.iter().filter(move |kernel| self == Choice::All || kernel.name == debian::IN_CI)
    }
}

/// The test that boots the kernel of CI, as the tests call it.
pub fn test_in_ci() -> String {
    format!("linux_{}", debian::IN_CI.replace('.', "_"))
}

/// Where they are.
pub fn folder() -> PathBuf {
    cache::root().join("kernels")
}

/// Whether nothing is missing.
pub fn complete(choice: Choice) -> bool {
    let programs = ["/usr/bin/qemu-system-x86_64", "/usr/sbin/mke2fs"].iter().all(|path| Path::new(path).is_file());
    programs && root().is_file() && choice.kernels().all(|kernel| kernel.is_in(&folder()))
}

/// Installs what is missing.
pub fn install(choice: Choice) -> Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    apt::install(PACKAGES)?;
    if !root().is_file() {
        make_root()?;
    }
    for kernel in choice.kernels().filter(|kernel| !kernel.is_in(&folder)) {
        step::persistently(&format!("Linux {}, of Debian", kernel.name), || kernel.make(&folder))?;
    }
    println!("Kernels: {}", folder.display());
    Ok(())
}

fn root() -> PathBuf {
    folder().join("root.ext4")
}

/// The fresh Debian of the tests of deploy/, on a disk. Its files are root's.
fn make_root() -> Result<()> {
    let (debian, disk) = (deploy::debian()?, folder().join(".root.ext4"));
    let mut make = Privilege::find()?.command("mke2fs", &[]);
    make.args(["-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d"]).arg(debian).arg(&disk).arg(SIZE);
    step::run_quietly(&mut make)?;
    Ok(fs::rename(disk, root())?)
}
