//! Which kernels there are, and their unpacking. Debian's cloud flavour: the smallest, with all that the agent asks for.
//!
//! A package's name holds the version, so these are pins; suites that grow no more keep them.

use super::initramfs;
use crate::setup::foreign::{Package, Suite, find_below};
use crate::step;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The one that CI boots.
pub const IN_CI: &str = "6.1";

/// From below the floor to the newest.
pub const KERNELS: &[Kernel] = &[
    Kernel { name: "5.10", suite: "bullseye", version: "5.10.0-32-cloud-amd64", packages: &["linux-image"] },
    Kernel { name: "6.1", suite: "bookworm", version: "6.1.0-47-cloud-amd64", packages: &["linux-image"] },
    Kernel {
        name: "6.12",
        suite: "bookworm-backports",
        version: "6.12.43+deb12-cloud-amd64",
        packages: &["linux-image"],
    },
    Kernel {
        name: "6.18",
        suite: "trixie-backports",
        version: "6.18.15+deb13-cloud-amd64",
        packages: &["linux-image"],
    },
    Kernel {
        name: "7.3",
        suite: "trixie-backports",
        version: "7.3.4+deb13-cloud-amd64",
        packages: &["linux-binary", "linux-modules"],
    },
];

/// A kernel.
pub struct Kernel {
    /// As people call it, and as its folder is called.
    pub name: &'static str,
    suite: &'static str,
    version: &'static str,
    /// Which packages of this version it is made of.
    packages: &'static [&'static str],
}

impl Kernel {
    /// Whether this very version is there, with the initramfs of today.
    pub fn is_in(&self, folder: &Path) -> bool {
        fs::read_to_string(self.mark(folder)).is_ok_and(|mark| mark == self.pins())
    }

    /// Its image and its initramfs, in a folder of its own.
    pub fn make(&self, folder: &Path) -> Result<()> {
        let (place, scratch) = (folder.join(self.name), folder.join(format!(".{}", self.name)));
        for folder in [&place, &scratch] {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder)?;
        }
        let unpacked = scratch.join("all");
        for kind in self.packages {
            let package = Package {
                name: &format!("{kind}-{}", self.version),
                suite: Suite::Named(self.suite),
                component: "main",
            };
            let files = package.unpack(&scratch.join(kind))?;
            step::run_quietly(Command::new("cp").args(["-a", "--no-target-directory"]).arg(&files).arg(&unpacked))?;
        }
        fs::copy(find_below(&unpacked, |name| name.starts_with("vmlinuz"))?, place.join("vmlinuz"))?;
        initramfs::make(&self.modules(&unpacked), self.version, &scratch.join("initramfs"), &place.join("initramfs"))?;
        fs::remove_dir_all(scratch)?;
        Ok(fs::write(self.mark(folder), self.pins())?)
    }

    /// The folder above `lib/modules`: /usr is merged in newer packages.
    fn modules(&self, unpacked: &Path) -> PathBuf {
        let merged = unpacked.join("usr");
        if merged.join("lib/modules").is_dir() { merged } else { unpacked.to_owned() }
    }

    fn mark(&self, folder: &Path) -> PathBuf {
        folder.join(self.name).join(".pins")
    }

    fn pins(&self) -> String {
        format!("{}\n{}", self.version, initramfs::INIT)
    }
}
