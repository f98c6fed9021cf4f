//! Keeps what the agent has read in its memory: no core dump is written, and no process without CAP_SYS_PTRACE may look.

use rustix::io::Result;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Switches core dumps off for this process. The limit alone would not do: a core pattern that is a pipe ignores it.
///
/// # Errors
/// When a seccomp filter does not let it.
pub fn keep_memory() -> Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}
