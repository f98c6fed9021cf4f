//! `cargo xtask ci`: what CI runs, which is what a developer runs.

use crate::bpf_toolchain::Action;
use crate::setup::kernels::Choice;
use crate::step::{self, Outcome, Summary};
use crate::{setup, test, tidy, workspace};
use anyhow::Result;
use std::process::Command;

/// Runs the command. It ends at the first step that fails.
pub fn run() -> Result<()> {
    let mut summary = Summary::default();
    let result = steps(&mut summary);
    test::finish(&summary, result)
}

/// Cheap verdicts first.
fn steps(summary: &mut Summary) -> Result<()> {
    summary.step("tidiness", || tidy::check().map(|()| Outcome::Done))?;
    summary.step("format", || done(workspace::cargo().args(["fmt", "--all", "--check"])))?;
    summary.step("setup", || setup::bpf().map(|_| Outcome::Done))?;
    summary.step("clippy, host", || {
        done(workspace::cargo().args(["clippy", "--all-targets", "--", "--deny", "warnings"]))
    })?;
    summary.step("clippy, BPF target", || {
        let target = workspace::target()?.join("bpf");
        let mut clippy = setup::bpf()?.cargo(Action::Clippy, workspace::root(), &target);
        done(clippy.args(["--", "--deny", "warnings"]))
    })?;
    summary.step("documentation", || {
        let mut doc = workspace::cargo();
        doc.args(["doc", "--no-deps", "--document-private-items"]);
        // Nobody reads these documents without the private items, so links may lead to them.
        doc.env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private-intra-doc-links");
        done(&mut doc)
    })?;
    test::ordinary(summary, &[])?;
    test::deployment(summary)?;
    test::other_kernels(summary, Choice::One)?;
    test::comparators(summary)?;
    test::real_engines(summary)
}

fn done(command: &mut Command) -> Result<Outcome> {
    step::run(command).map(|()| Outcome::Done)
}
