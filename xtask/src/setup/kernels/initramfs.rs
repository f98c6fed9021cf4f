//! What a kernel needs to find the two disks: busybox, the modules of virtio's disks where they are none of the kernel's
//! own, and a script.

use crate::setup::foreign::find_below;
use crate::step;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What runs first.
pub const INIT: &str = include_str!("init.sh");
/// In the order of their loading; of each what it depends on.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4"];

/// Makes it of the modules below `root` (`lib/modules`), in an empty folder `scratch`.
pub fn make(root: &Path, version: &str, scratch: &Path, initramfs: &Path) -> Result<()> {
    for folder in ["bin", "modules", "proc", "dev", "debian"] {
        fs::create_dir_all(scratch.join(folder))?;
    }
    fs::copy("/bin/busybox", scratch.join("bin/busybox")).context("busybox-static")?;
    fs::write(scratch.join("init"), INIT)?;
    fs::set_permissions(scratch.join("init"), Permissions::from_mode(0o755))?;
    step::run_quietly(Command::new("depmod").arg("-b").arg(root).arg(version))?;
    for (number, module) in modules(root, version)?.iter().enumerate() {
        // Packed ones are unpacked here: busybox does not.
        let mut xz = Command::new("xz");
        xz.args(["--decompress", "--stdout", "--force"]).arg(module);
        let file = File::create(scratch.join(format!("modules/{number:02}.ko")))?;
        step::run(xz.stdout(file))?;
    }
    pack(scratch, initramfs)
}

/// Files of all modules and of what they depend on, in the order of their loading.
fn modules(root: &Path, version: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    // One without a file is a part of the kernel: newer packages have no list of these, so modprobe could not tell.
    let is_file = |module: &&&str| find_below(root, |name| name.starts_with(&format!("{module}.ko"))).is_ok();
    for module in MODULES.iter().filter(is_file) {
        let mut modprobe = Command::new("modprobe");
        let output = modprobe.arg("-d").arg(root).args(["-S", version, "--show-depends", module]).output()?;
        ensure!(output.status.success(), "{module}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let named = text.lines().filter_map(|line| line.strip_prefix("insmod ")).map(|path| PathBuf::from(path.trim()));
        for file in named {
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn pack(folder: &Path, initramfs: &Path) -> Result<()> {
    let mut find = Command::new("find").arg(".").current_dir(folder).stdout(Stdio::piped()).spawn()?;
    let names = find.stdout.take().context("find has an output")?;
    let mut cpio = Command::new("busybox");
    cpio.args(["cpio", "-o", "-H", "newc"]).current_dir(folder).stdin(names).stdout(File::create(initramfs)?);
    step::run(cpio.stderr(Stdio::null()))?;
    ensure!(find.wait()?.success(), "find failed");
    Ok(())
}
