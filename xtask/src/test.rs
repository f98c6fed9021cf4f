//! `cargo xtask test`: unit and replay tests, then the live eBPF tests as root, and on request the real engines.
//!
//! Live and engine tests are the targets `live` and `engines` of the tests package. Each of their tests is `#[ignore]`d,
//! so that a plain `cargo test` passes without root and without engines; this command runs exactly the ignored ones.

use crate::privilege::Privilege;
use crate::setup::{self, deploy, engines, kernels, nvml};
use crate::step::{self, Outcome, Summary};
use crate::workspace::{self, Profile, Target};
use crate::{bpf_toolchain, build, cache, dist, image};
use anyhow::Result;
use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The package of the live and engine tests.
pub const PACKAGE: &str = "inferscope-tests";

/// What proptest takes the seed of its random cases from.
const SEED: &str = "PROPTEST_RNG_SEED";

/// Has each test say how long it took, which the runner of a stable toolchain does where the variable is set.
const REPORT: [&str; 2] = ["-Zunstable-options", "--report-time"];
const UNSTABLE: &str = "RUSTC_BOOTSTRAP";

/// Options of `test`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also test against the real vLLM, Triton and ComfyUI, installing first what is missing
    #[arg(long)]
    engines: bool,
    /// Also hold the figures of GPUs against NVIDIA's real library and nvitop-exporter, installing them where missing
    #[arg(long)]
    gpu: bool,
    /// Also test what deploy/ ships, installing first the tools that are missing
    #[arg(long)]
    deploy: bool,
    /// Also test under other kernels, in QEMU, installing these where they are missing (half an hour)
    #[arg(long)]
    kernels: bool,
    /// Arguments for the unit and replay tests' runner, after `--`
    #[arg(last = true)]
    runner: Vec<String>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut summary = Summary::default();
    let result = steps(&mut summary, arguments);
    finish(&summary, result)
}

fn steps(summary: &mut Summary, arguments: &Arguments) -> Result<()> {
    ordinary(summary, &arguments.runner)?;
    if arguments.gpu {
        comparators(summary)?;
    }
    if arguments.deploy {
        deployment(summary)?;
    }
    if arguments.kernels {
        other_kernels(summary, kernels::Choice::All)?;
    }
    if arguments.engines {
        real_engines(summary)?;
    }
    Ok(())
}

/// Unit, replay and live tests: what `cargo xtask test` runs.
pub fn ordinary(summary: &mut Summary, runner: &[String]) -> Result<()> {
    if bpf_toolchain::find().is_err() {
        summary.step("setup", || setup::bpf().map(|_| Outcome::Done))?;
    }
    summary.step("unit and replay tests", || {
        let mut tests = workspace::cargo();
        if has_nextest() {
            tests.args(["nextest", "run"]);
        } else {
            tests.arg("test");
        }
        // A landing is no matter of luck. `PROPTEST_CASES=20000 cargo test` looks further.
        if env::var_os(SEED).is_none() {
            tests.env(SEED, "20261122");
        }
        step::run(tests.args(runner))?;
        Ok(Outcome::Done)
    })?;
    summary.step("live eBPF tests", || as_root("live"))
}

/// The tests against the real servers.
pub fn real_engines(summary: &mut Summary) -> Result<()> {
    if !engines::complete() {
        summary.step("setup of the engines", || engines::install().map(|()| Outcome::Done))?;
    }
    if !deploy::has_prometheus() {
        summary.step("setup of Prometheus", || deploy::prometheus().map(|()| Outcome::Done))?;
    }
    summary.step("tests against the real servers", || as_root("engines"))
}

/// The tests of what deploy/ ships.
pub fn deployment(summary: &mut Summary) -> Result<()> {
    if !deploy::complete() {
        summary.step("setup of the tools for deploy/", || deploy::install().map(|()| Outcome::Done))?;
    }
    // The image must be able to load NVIDIA's library.
    if !nvml::complete() {
        summary.step("setup of the GPU tests", || nvml::install().map(|()| Outcome::Done))?;
    }
    summary.step("container image", || image::make(Profile::Dev).map(|_| Outcome::Done))?;
    // From the agent of the tests: an optimised one takes minutes more, and installs no otherwise.
    summary.step("a release to install", || dist::make(Profile::Dev).map(|_| Outcome::Done))?;
    summary.step("tests of what deploy/ ships", || as_root("deploy"))
}

/// The tests under other kernels, with the release that those of deploy/ install.
pub fn other_kernels(summary: &mut Summary, choice: kernels::Choice) -> Result<()> {
    if !kernels::complete(choice) {
        summary.step("setup of other kernels", || kernels::install(choice).map(|()| Outcome::Done))?;
    }
    summary.step("a release to install under other kernels", || dist::make(Profile::Dev).map(|_| Outcome::Done))?;
    let name = match choice {
        kernels::Choice::All => None,
        kernels::Choice::One => Some(kernels::test_in_ci()),
    };
    summary.step("tests under other kernels", || as_root_only("kernels", name.as_deref()))
}

/// The GPU tests that others' programs take part in. No root, no GPU.
pub fn comparators(summary: &mut Summary) -> Result<()> {
    if !nvml::complete() {
        summary.step("setup of the GPU tests", || nvml::install().map(|()| Outcome::Done))?;
    }
    summary.step("figures of GPUs against others'", || {
        let mut tests = workspace::cargo();
        tests.args(["test", "--workspace", "--test", "gpu", "--", "--ignored", "--nocapture"]);
        step::run(tests.env(cache::VARIABLE, cache::root()))?;
        Ok(Outcome::Done)
    })
}

/// Prints what was done, whatever came of it; in CI nothing may have been left out.
pub fn finish(summary: &Summary, result: Result<()>) -> Result<()> {
    print!("\n{summary}");
    result?;
    let in_ci = env::var_os("CI").is_some_and(|ci| ci == "true");
    if let (true, Some((name, reason))) = (in_ci, summary.skips().next()) {
        anyhow::bail!("in CI nothing may be skipped, and this was: {name}: {reason}");
    }
    Ok(())
}

/// Builds a test target as this user and runs its ignored tests as root.
fn as_root(target: &str) -> Result<Outcome> {
    as_root_only(target, None)
}

/// As [`as_root`], but only the test of this name where there is one.
fn as_root_only(target: &str, name: Option<&str>) -> Result<Outcome> {
    if !workspace::has_test(PACKAGE, target)? {
        return Ok(Outcome::Skipped(format!("the package {PACKAGE} has no test target `{target}`")));
    }
    let privilege = match Privilege::find() {
        Ok(privilege) => privilege,
        Err(reason) => return Ok(Outcome::Skipped(reason.to_string())),
    };
    let agent = build::agent(Profile::Dev)?;
    let tests = workspace::compile(PACKAGE, Target::Test, target)?;
    // One at a time: each of them loads programs, and timings are judged. What they print is what the journal quotes.
    let mut run = with_agent(privilege, &tests, &agent);
    run.args(["--ignored", "--test-threads=1", "--nocapture"]).args(REPORT);
    run.args(name.iter().flat_map(|name| ["--exact", name])).current_dir(workspace::root().join("tests"));
    step::run(&mut run)?;
    Ok(Outcome::Done)
}

/// A command that runs `program` as root against this agent.
pub fn with_agent(privilege: Privilege, program: &Path, agent: &Path) -> Command {
    // Root's home is another one, so the cache is named.
    let cache = cache::root();
    let variables =
        [("INFERSCOPE_BIN", agent.as_os_str()), (cache::VARIABLE, cache.as_os_str()), (UNSTABLE, OsStr::new("1"))];
    let mut command = privilege.command(program, &variables);
    // Engines are installed without bytecode. Where Python may not keep it, each start of vLLM compiles 6,000 files.
    command.env_remove("PYTHONDONTWRITEBYTECODE");
    command
}

fn has_nextest() -> bool {
    let mut version = Command::new("cargo-nextest");
    version.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
