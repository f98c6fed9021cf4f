//! Attaches a uprobe to the agent itself, for a moment: whether the kernel lets it, and what it demands for it.
//!
//! A kernel's version does not say. CAP_PERFMON was enough from 5.8 on, until "perf: Revert to requiring CAP_SYS_ADMIN for
//! uprobes" came with 6.16 in July 2025, and into the stable series from 5.10 on; distributions have patches of their own.

use super::attach::{AttachError, Probes};
use super::plan::Probe;
use crate::event::Tgid;
use crate::host::maps;
use crate::host::privilege::give_up::{Demand, without_sys_admin};
use std::path::Path;

/// The smallest of the programs.
const PROGRAM: &str = "socket_start";

/// How the trial ended.
#[derive(Debug)]
pub enum Trial {
    /// A uprobe can be attached by who has this.
    Works(Demand),
    /// The kernel refuses: a sentence that says so and what is missing.
    Refused(String),
    /// It could not be tried, for this reason; nothing is known.
    Unknown(String),
}

/// Tries it, first without CAP_SYS_ADMIN.
pub fn trial(probes: &mut Probes) -> Trial {
    let Some(offset) = own_code() else {
        return Trial::Unknown("this program's own code is not to be found in /proc/self/maps".to_owned());
    };
    if let Ok(Ok(())) = without_sys_admin(|| attach(probes, offset)) {
        return Trial::Works(Demand::Perfmon);
    }
    match attach(probes, offset) {
        Ok(()) => Trial::Works(Demand::SysAdmin),
        Err(AttachError::Refused(sentence)) => Trial::Refused(sentence),
        Err(error) => Trial::Unknown(error.to_string()),
    }
}

fn attach(probes: &mut Probes, offset: u64) -> Result<(), AttachError> {
    let probe = Probe { program: PROGRAM, offset, cookie: 0 };
    probes.attach_probe(Tgid(std::process::id()), Path::new("/proc/self/exe"), probe).map(drop)
}

/// Where in its file a function of this program stands.
fn own_code() -> Option<u64> {
    maps::file_offset(Tgid(std::process::id()), landing as *const () as u64)
}

/// Never called: what is probed here costs nobody anything.
#[inline(never)]
fn landing() {
    std::hint::black_box(());
}
