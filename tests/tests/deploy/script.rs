//! The shell scripts that are shipped, as such.

use crate::tool::{output, tool};
use inferscope_tests::repository;
use std::path::{Path, PathBuf};
use std::process::Command;

fn shipped(path: &str) -> PathBuf {
    repository("deploy").join(path)
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn shellcheck_finds_nothing() {
    let scripts = ["install.sh", "packages/after-install.sh", "packages/before-remove.sh", "packages/after-remove.sh"];
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/host.sh");
    let found = output(
        tool("shellcheck")
            .args(["--shell=sh", "--enable=all", "--exclude=SC2249,SC2250,SC2310,SC2312"])
            .args(scripts.map(shipped))
            .arg(own),
    );
    assert_eq!(found, "");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_done() {
    for (arguments, expected) in [
        (&["--frm", "x"][..], "there is no option --frm"),
        (&["--from"], "--from needs a path"),
        (&["--purge"], "--purge goes with --uninstall only"),
        (&["--uninstall", "--from", "x"], "--uninstall takes nothing"),
        (&["--uninstall", "--upgrade"], "exclude each other"),
    ] {
        let result = Command::new("sh").arg(shipped("install.sh")).args(arguments).output().expect("sh starts");
        let errors = String::from_utf8_lossy(&result.stderr);
        assert_eq!(result.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(expected), "{arguments:?}: {errors}");
    }
}

#[test]
fn help_names_every_option() {
    let help = output(Command::new("sh").arg(shipped("install.sh")).arg("--help"));
    for option in ["--from", "--upgrade", "--uninstall", "--purge", "--dry-run", "Exit codes:"] {
        assert!(help.contains(option), "{option} is not in\n{help}");
    }
}
