//! Room for probes: each holds two descriptors, so a server of many processes needs more than the 1024 that a process may
//! open by default. The hard limit is the operator's and stays.

use rustix::io::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of descriptors that may be open to what the hard limit allows.
///
/// # Errors
/// When a seccomp filter does not let it.
pub fn raise_limit() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}
