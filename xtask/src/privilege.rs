//! Root, or the way to it: loading programs into the kernel and installing Debian packages need it.

use anyhow::{Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::io::{IsTerminal, stdin};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

/// How a command becomes root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// This process is root already.
    Root,
    /// `sudo` works here: without a password, or with a person to type it.
    Sudo,
}

impl Privilege {
    /// Finds the way, or says that there is none.
    pub fn find() -> Result<Privilege> {
        // The owner of /proc/self is the effective user.
        if fs::metadata("/proc/self")?.uid() == 0 {
            return Ok(Privilege::Root);
        }
        let quiet = |arguments: &[&str]| {
            let mut sudo = Command::new("sudo");
            sudo.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            sudo.status().is_ok_and(|status| status.success())
        };
        if quiet(&["-n", "true"]) || (stdin().is_terminal() && quiet(&["-V"])) {
            return Ok(Privilege::Sudo);
        }
        bail!("this needs root, and sudo is not to be had here: run the same command as root")
    }

    /// A command that runs `program` as root. `variables` reach it even through sudo, which clears the environment.
    pub fn command(self, program: impl AsRef<OsStr>, variables: &[(&str, &OsStr)]) -> Command {
        if self == Privilege::Root {
            let mut command = Command::new(program);
            command.envs(variables.iter().copied());
            return command;
        }
        let mut command = Command::new("sudo");
        command.arg("env");
        for (name, value) in variables {
            let mut assignment = OsStr::new(name).to_owned();
            assignment.push("=");
            assignment.push(value);
            command.arg(assignment);
        }
        command.arg(program);
        command
    }
}
