//! As whom a program runs: as this process, or as an unprivileged user with a few capabilities (setpriv of util-linux).

use anyhow::Result;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the unit and the pod give the agent, as setpriv writes it.
pub const CAPABILITIES: [&str; 5] = ["bpf", "perfmon", "sys_admin", "sys_ptrace", "dac_read_search"];

/// Nobody's: no process of a test server has it.
const UNPRIVILEGED: u32 = 65534;

/// As whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Identity {
    /// As this process.
    #[default]
    Same,
    /// As an unprivileged user with these capabilities and no way to others.
    Unprivileged(Vec<&'static str>),
}

impl Identity {
    /// As the unit starts the agent.
    #[must_use]
    pub fn service() -> Identity {
        Identity::Unprivileged(CAPABILITIES.to_vec())
    }

    /// A command that runs `program` so, without standard input, with `folder` as its own.
    pub fn command(&self, program: &Path, folder: &Path) -> Result<Command> {
        let Identity::Unprivileged(capabilities) = self else {
            let mut command = Command::new(program);
            command.stdin(Stdio::null());
            return Ok(command);
        };
        for entry in fs::read_dir(folder)? {
            chown(entry?.path(), Some(UNPRIVILEGED), None)?;
        }
        chown(folder, Some(UNPRIVILEGED), None)?;
        let id = UNPRIVILEGED.to_string();
        let set = capabilities.iter().fold("-all".to_owned(), |set, capability| format!("{set},+{capability}"));
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--no-new-privs"]);
        command.args(["--bounding-set", &set, "--inh-caps", &set, "--ambient-caps", &set]);
        // This user may not come near where the program was built; an open file needs no way to it.
        command.arg("/proc/self/fd/0").stdin(File::open(program)?);
        Ok(command)
    }
}
