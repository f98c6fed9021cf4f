//! The toolchain that compiles agent-ebpf for the BPF target: where it is, and the cargo command that uses it.
//!
//! It only looks. `cargo xtask setup` installs what is missing. std only: `agent/build.rs` compiles this file too, so
//! that a plain `cargo build` and `cargo xtask` never disagree about the compiler.

use crate::cache;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The linker release that both kinds of toolchain use.
pub const BPF_LINKER: &str = "0.10.3";
/// The compilation target. The agent runs on little-endian machines only.
pub const TARGET: &str = "bpfel-unknown-none";
/// LLVM of Debian's `rustc-web` 1.96; an older one cannot read its bitcode.
const DEBIAN_LLVM: &str = "22";
/// Where Debian's toolchain packages put their binaries.
const DEBIAN_BIN: &str = "/usr/bin";
/// Variables of the outer cargo that would leak its compiler, flags, profile or package into the inner one. The rest of
/// `CARGO_*` (home, registry, network) is the user's and stays.
const FOREIGN: &[&str] = &[
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_CRATE_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_FEATURE_",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
    "CLIPPY_",
    "DEP_",
    "MAKEFLAGS",
    "MFLAGS",
    "RUSTC",
    "RUSTDOC",
    "RUSTFLAGS",
];

/// Whose compiler and core source are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The project's rustup toolchain, with its `rust-src` component.
    Rustup,
    /// Debian's `rustc-web`, `cargo-web` and `rust-web-src`, for machines where rustup can fetch no component.
    Debian,
}

/// What cargo is to do with the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compile and link them.
    Build,
    /// Lint them.
    Clippy,
}

/// A compiler that has the source of `core`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// Whose it is.
    pub kind: Kind,
    cargo: PathBuf,
    rustc: PathBuf,
    /// Folder with the libLLVM that bpf-linker opens.
    llvm: PathBuf,
}

/// Everything that a BPF build needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpfToolchain {
    /// Compiler, core source and libLLVM.
    pub compiler: Compiler,
    /// `bpf-linker`.
    pub linker: PathBuf,
}

/// What of the toolchain is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No compiler with the source of `core`.
    Compiler,
    /// No `bpf-linker`.
    Linker,
}

/// Finds the whole toolchain.
pub fn find() -> Result<BpfToolchain, Missing> {
    let compiler = find_compiler().ok_or(Missing::Compiler)?;
    let linker = find_linker().ok_or(Missing::Linker)?;
    Ok(BpfToolchain { compiler, linker })
}

/// Finds a compiler with `core`: the project's own first, because it needs no root to install.
#[must_use]
pub fn find_compiler() -> Option<Compiler> {
    rustup_compiler().or_else(debian_compiler)
}

/// Finds `bpf-linker`: the pinned one of the cache first, then any on PATH or in cargo's own folder.
#[must_use]
pub fn find_linker() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let path = env::var_os("PATH").unwrap_or_default();
    [linker_root().join("bin")]
        .into_iter()
        .chain(env::split_paths(&path))
        .chain(cargo_home.map(|home| home.join("bin")))
        .map(|folder| folder.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// Where `cargo xtask setup` installs the pinned linker.
#[must_use]
pub fn linker_root() -> PathBuf {
    cache::root().join(format!("bpf-linker-{BPF_LINKER}"))
}

fn rustup_compiler() -> Option<Compiler> {
    let rustc = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
    let sysroot = sysroot(&rustc)?;
    has_core(&sysroot).then_some(())?;
    let llvm = sysroot.join("lib");
    has_llvm(&llvm, "").then_some(Compiler { kind: Kind::Rustup, cargo, rustc, llvm })
}

fn debian_compiler() -> Option<Compiler> {
    let rustc = Path::new(DEBIAN_BIN).join("rustc");
    let cargo = Path::new(DEBIAN_BIN).join("cargo");
    (cargo.is_file() && has_core(&sysroot(&rustc)?)).then_some(())?;
    // The rustup toolchain's own libLLVM serves as well, and is there when Debian's is not.
    let rustup = sysroot(Path::new("rustc")).map(|root| root.join("lib"));
    let llvm = [PathBuf::from(format!("/usr/lib/llvm-{DEBIAN_LLVM}/lib"))]
        .into_iter()
        .chain(rustup)
        .chain([PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH))])
        .find(|folder| has_llvm(folder, DEBIAN_LLVM))?;
    Some(Compiler { kind: Kind::Debian, cargo, rustc, llvm })
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(path.trim_end()))
}

fn has_core(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file()
}

/// Whether `folder` holds a libLLVM whose version begins with `major`.
fn has_llvm(folder: &Path, major: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let Some(version) = name.to_str().and_then(|name| name.strip_prefix("libLLVM")) else { return false };
        version.contains(".so") && version.trim_start_matches(['-', '.', 's', 'o']).starts_with(major)
    })
}

impl Action {
    const fn subcommand(self) -> &'static str {
        match self {
            Action::Build => "build",
            Action::Clippy => "clippy",
        }
    }
}

impl BpfToolchain {
    /// The cargo command for the programs of the workspace `root`, with build products under `target_dir`.
    #[must_use]
    pub fn cargo(&self, action: Action, root: &Path, target_dir: &Path) -> Command {
        let cargo = &self.compiler.cargo;
        let mut command = match (action, self.compiler.kind) {
            // `cargo clippy` prefers ~/.cargo/bin/cargo-clippy, which is rustup's: called by its own name, it is Debian's.
            (Action::Clippy, Kind::Debian) => Command::new(cargo.with_file_name("cargo-clippy")),
            _ => Command::new(cargo),
        };
        for (name, _) in env::vars_os() {
            if is_foreign(&name) {
                command.env_remove(name);
            }
        }
        let mut flags = OsString::from("-Clink-arg=--btf\u{1f}-Clinker=");
        flags.push(&self.linker);
        command
            .current_dir(root)
            // -Z build-std on a stable compiler; the source and the compiler are of one version, so nothing can drift.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO", cargo)
            .env("RUSTC", &self.compiler.rustc)
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            // BTF is made from the full debug information.
            .env("CARGO_PROFILE_RELEASE_DEBUG", "2")
            .env("LD_LIBRARY_PATH", &self.compiler.llvm)
            .args([action.subcommand(), "--release", "-Zbuild-std=core", "--target", TARGET, "--target-dir"])
            .arg(target_dir)
            .args(["--package", "inferscope-ebpf", "--features", "programs", "--bin", "inferscope-ebpf"]);
        command
    }
}

/// Where `BpfToolchain::cargo(Action::Build, …, target_dir)` leaves the object.
#[must_use]
pub fn object(target_dir: &Path) -> PathBuf {
    target_dir.join(TARGET).join("release/inferscope-ebpf")
}

/// Whether a variable belongs to the outer cargo's build.
fn is_foreign(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| FOREIGN.iter().any(|prefix| name.starts_with(prefix)))
}

impl fmt::Display for BpfToolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.compiler, self.linker.display())
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Rustup => write!(f, "the rustup toolchain with rust-src"),
            Kind::Debian => write!(f, "Debian's {}", self.rustc.display()),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Missing::Compiler => "a Rust compiler with the source of core",
            Missing::Linker => "bpf-linker",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_build_does_not_leak_and_the_user_settings_stay() {
        for name in ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_PROFILE_RELEASE_LTO", "CARGO_TARGET_DIR"] {
            assert!(is_foreign(OsStr::new(name)), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL", "CARGO_HTTP_CAINFO", "PATH", "RUSTUP_HOME"] {
            assert!(!is_foreign(OsStr::new(name)), "{name}");
        }
    }
}
