//! One step of a command: said before, timed after, tried again where the network or apt may be at fault.

use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// How often a step that depends on the network or on apt's lock is tried.
const TRIES: u32 = 3;
/// Pause before the second try; the third waits twice as long.
const PAUSE: Duration = Duration::from_secs(10);

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it says.
    Done,
    /// It did nothing, for this reason.
    Skipped(String),
    /// It did not do what it says; the error itself has gone to the caller.
    Failed,
}

/// What a command did, for its last words.
#[derive(Debug, Default)]
pub struct Summary {
    steps: Vec<(String, Outcome, Duration)>,
}

impl Summary {
    /// Runs a step and remembers it. A step that fails ends the command.
    pub fn step(&mut self, name: &str, action: impl FnOnce() -> Result<Outcome>) -> Result<()> {
        println!("==> {name}");
        let start = Instant::now();
        let result = action();
        if let Ok(Outcome::Skipped(reason)) = &result {
            println!("    skipped: {reason}");
        }
        let outcome = result.as_ref().map_or(Outcome::Failed, Clone::clone);
        self.steps.push((name.to_owned(), outcome, start.elapsed()));
        result.map(|_| ()).with_context(|| format!("{name} failed"))
    }

    /// What was left out, and why.
    pub fn skips(&self) -> impl Iterator<Item = (&str, &str)> {
        self.steps.iter().filter_map(|(name, outcome, _)| match outcome {
            Outcome::Done | Outcome::Failed => None,
            Outcome::Skipped(reason) => Some((name.as_str(), reason.as_str())),
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome, took) in &self.steps {
            let seconds = took.as_secs_f64();
            match outcome {
                Outcome::Done => writeln!(f, "{seconds:8.1} s  {name}")?,
                Outcome::Failed => writeln!(f, "{seconds:8.1} s  {name}: FAILED")?,
                Outcome::Skipped(reason) => writeln!(f, "   skipped  {name}: {reason}")?,
            }
        }
        Ok(())
    }
}

/// Runs a command to its end; its own output is the explanation when it fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command that says nothing unless it fails.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{}` ended with {}", line(command), output.status);
    }
    Ok(())
}

/// Says what is done, does it up to three times, and says how long it took.
pub fn persistently(what: &str, mut action: impl FnMut() -> Result<()>) -> Result<()> {
    println!("    {what} …");
    let start = Instant::now();
    for attempt in 1..=TRIES {
        match action() {
            Ok(()) => {
                println!("    {what}: done in {:.1} s", start.elapsed().as_secs_f64());
                return Ok(());
            }
            Err(error) if attempt == TRIES => return Err(error.context(format!("{what}: {TRIES} tries failed"))),
            Err(error) => {
                eprintln!("    {what}: {error:#}; try {} of {TRIES} follows", attempt.saturating_add(1));
                thread::sleep(PAUSE.saturating_mul(attempt));
            }
        }
    }
    Ok(())
}

/// The command as a person would type it.
fn line(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_summary_lists_steps_and_reasons() {
        let mut summary = Summary::default();
        summary.step("format", || Ok(Outcome::Done)).unwrap();
        summary.step("live", || Ok(Outcome::Skipped("needs root".into()))).unwrap();
        assert!(summary.step("broken", || bail!("no")).is_err());
        assert!(summary.to_string().ends_with("broken: FAILED\n"));
        assert_eq!(summary.skips().collect::<Vec<_>>(), [("live", "needs root")]);
        assert!(summary.to_string().contains("skipped  live: needs root\n"));
    }
}
