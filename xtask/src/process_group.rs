//! A child that ends with its whole family: its own process group, ended when the guard is dropped.
//!
//! Depends on libc alone: the tests crate compiles this file too. It does not read the child's output.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How long a group may take to end after SIGTERM, before SIGKILL: what the unit gives the agent, whose probes come off one
/// after the other.
const GRACE: Duration = Duration::from_secs(30);
/// How often an ending group is looked at.
const POLL: Duration = Duration::from_millis(20);

/// A running child and everything that it started in its group.
#[derive(Debug)]
pub struct ProcessGroup {
    child: Child,
}

impl ProcessGroup {
    /// Starts `command` as the leader of a new group.
    pub fn spawn(command: &mut Command) -> io::Result<ProcessGroup> {
        Ok(ProcessGroup { child: command.process_group(0).spawn()? })
    }

    /// The leader's process id, which is the group's.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the leader ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Ends the group as a service manager does: SIGTERM, a grace, SIGKILL. Does nothing to a group that has ended.
    pub fn end(&mut self) -> io::Result<ExitStatus> {
        self.signal(libc::SIGTERM)?;
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            // Reaping the leader first lets the group vanish, which is what the probe waits for.
            let ended = self.child.try_wait()?;
            if let (Some(status), false) = (ended, self.signal(0)?) {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        self.signal(libc::SIGKILL)?;
        self.child.wait()
    }

    /// Sends a signal to the whole group (0 asks only); false when nobody of it is left.
    pub fn signal(&self, signal: libc::c_int) -> io::Result<bool> {
        let Ok(group) = libc::pid_t::try_from(self.id()) else { return Ok(false) };
        // SAFETY: kill(2) takes two numbers and touches no memory. The group id is not reused while a member lives.
        #[allow(unsafe_code, reason = "std signals one process, not a group")]
        let result = unsafe { libc::kill(-group, signal) };
        if result == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(false),
            // A group that was started through sudo belongs to root.
            Some(libc::EPERM) => {
                let script = format!("kill -{signal} -- -{group} 2>/dev/null");
                Ok(Command::new("sudo").args(["-n", "sh", "-c", &script]).status()?.success())
            }
            _ => Err(error),
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("process group {} could not be ended: {error}", self.id());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::path::Path;
    use std::process::Stdio;

    #[test]
    fn grandchildren_end_with_the_guard() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped());
        let mut group = ProcessGroup::spawn(&mut shell).unwrap();
        let mut line = String::new();
        BufReader::new(group.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let grandchild = Path::new("/proc").join(line.trim());
        assert!(grandchild.exists());
        drop(group);
        let state = std::fs::read_to_string(grandchild.join("stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}
