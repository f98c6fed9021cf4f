//! The workspace's own paths and the cargo that builds it.

use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which profile cargo builds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For tests.
    Dev,
    /// As it ships.
    Release,
}

impl Profile {
    /// Cargo's arguments for it.
    pub const fn arguments(self) -> &'static [&'static str] {
        match self {
            Profile::Dev => &[],
            Profile::Release => &["--release"],
        }
    }

    /// A binary of the workspace, built with this profile.
    pub fn binary(self, name: &str) -> Result<PathBuf> {
        let folder = match self {
            Profile::Dev => "debug",
            Profile::Release => "release",
        };
        Ok(target()?.join(folder).join(name))
    }
}

/// What kind of target a test or bench is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An integration test.
    Test,
    /// A benchmark.
    Bench,
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// `cargo` in the root: the one that runs this command.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds.
pub fn target() -> Result<PathBuf> {
    let found = metadata()?.get("target_directory").and_then(|path| path.as_str()).map(PathBuf::from);
    found.context("cargo metadata names no target_directory")
}

/// Compiles a target without running it, and says where the executable is: what runs it may have to be root, and root
/// must not write into the target folder.
pub fn compile(package: &str, kind: Target, name: &str) -> Result<PathBuf> {
    let (subcommand, option) = match kind {
        Target::Test => ("test", "--test"),
        Target::Bench => ("bench", "--bench"),
    };
    let mut compile = cargo();
    // Of the workspace: for a package alone cargo chooses other features of what it stands on, and compiles that again.
    compile.args([subcommand, "--no-run", "--workspace", option, name]);
    compile.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = compile.output().with_context(|| format!("cargo {subcommand}"))?;
    ensure!(output.status.success(), "{package}'s {name} does not compile");
    let messages = String::from_utf8(output.stdout)?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|target| target == name))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo names no executable for {package}'s {name}"))
}

/// Whether `package` has an integration test called `test`.
pub fn has_test(package: &str, test: &str) -> Result<bool> {
    let metadata = metadata()?;
    let packages = metadata.get("packages").and_then(|list| list.as_array());
    let targets = packages
        .into_iter()
        .flatten()
        .filter(|found| found.get("name").is_some_and(|name| name == package))
        .filter_map(|found| found.get("targets")?.as_array());
    Ok(targets.flatten().any(|target| {
        target.get("name").is_some_and(|name| name == test)
            && target.get("kind").is_some_and(|kind| kind == &serde_json::json!(["test"]))
    }))
}

fn metadata() -> Result<serde_json::Value> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version=1"]).output().context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}
