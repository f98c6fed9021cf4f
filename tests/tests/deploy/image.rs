//! The container image that `cargo xtask image --dev` made.

use crate::tool::{of_family, output, tool};
use inferscope_tests::repository;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What images call this machine's architecture.
pub const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The image as tools name it.
pub fn reference() -> String {
    let folder = folder().join("oci");
    assert!(folder.is_dir(), "no {}: run cargo xtask image --dev", folder.display());
    format!("{}:{}", folder.display(), env!("CARGO_PKG_VERSION"))
}

fn folder() -> PathBuf {
    // The tests' own folder for files is in the target folder.
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../image/dev")
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn hadolint_finds_no_fault() {
    let containerfile = repository("deploy/image/Containerfile");
    assert_eq!(output(tool("hadolint").arg("--failure-threshold=style").arg(containerfile)), "");
}

#[test]
#[ignore = "needs cargo xtask image --dev"]
fn it_says_what_it_is() {
    let text = output(tool("skopeo").args(["inspect", "--config", &format!("oci:{}", reference())]));
    let config: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&config["os"], &config["architecture"]), (&"linux".into(), &ARCHITECTURE.into()));
    assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/inferscope");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(config["rootfs"]["diff_ids"].as_array().map(Vec::len), Some(1), "one layer");
    // Without a time, so that the same files are the same image.
    assert_eq!(config["created"], "1970-01-01T00:00:00Z");
}

#[test]
#[ignore = "needs cargo xtask image --dev"]
fn the_bill_of_materials_is_whole() {
    let path = folder().join("sbom.cdx.json");
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/bill.py");
    output(Command::new(of_family("images/venv/bin/python")).arg(check).arg(&path));
    let bill: Value = serde_json::from_slice(&fs::read(&path).expect("the image has one")).expect("JSON");
    let names: BTreeSet<_> =
        bill["components"].as_array().expect("components").iter().filter_map(|part| part["name"].as_str()).collect();
    // The agent, its programs in the kernel and what they are made of, the C library; nothing of tests.
    for name in ["inferscope", "inferscope-ebpf", "aya", "aya-ebpf", "tokio", "libc6", "libgcc-s1", "ca-certificates"] {
        assert!(names.contains(name), "{name}");
    }
    for name in ["proptest", "insta", "inferscope-tests", "xtask"] {
        assert!(!names.contains(name), "{name}");
    }
}
