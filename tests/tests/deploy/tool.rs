//! The programs that `cargo xtask setup --deploy` installs.

use inferscope_tests::deploy_folder;
use std::path::PathBuf;
use std::process::Command;

/// One of them, by its name.
pub fn tool(name: &str) -> Command {
    let program = deploy_folder().join("bin").join(name);
    assert!(program.is_file(), "no {}: run cargo xtask setup --deploy", program.display());
    Command::new(program)
}

/// A program or file of a family of tools, by its path there.
pub fn of_family(path: &str) -> PathBuf {
    deploy_folder().join(path)
}

/// What a command prints, which must end well and quietly.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}:\n{errors}", output.status);
    String::from_utf8(output.stdout).expect("programs speak UTF-8")
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn helm_and_kubectl_are_the_real_ones() {
    assert!(output(tool("helm").args(["version", "--short"])).starts_with("v4."));
    assert!(output(tool("kubectl").args(["version", "--client"])).contains("Client Version: v1.35."));
    assert!(of_family("kubernetes/venv/bin/python").is_file());
}
