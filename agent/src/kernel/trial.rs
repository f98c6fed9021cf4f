//! Attaches uprobes to the agent itself, for a moment: whether the kernel lets it, and what it demands for it.
//!
//! Where it does not, nothing would ever be seen, and an agent that ran all the same would look healthy.
//!
//! A kernel's version does not say. CAP_PERFMON was enough from 5.8 on, until "perf: Revert to requiring CAP_SYS_ADMIN for
//! uprobes" came with 6.16 in July 2025, and into the stable series from 5.10 on; distributions have patches of their own.

use super::attach::{AttachError, Probes};
use super::plan::Probe;
use crate::event::Tgid;
use crate::host::maps;
use crate::host::privilege::give_up::{Demand, without_sys_admin};
use std::path::Path;

/// The smallest of the programs: who may attach it may attach all.
const SMALLEST: &str = "socket_start";
/// The one that most calls are seen by, with every loop that a verifier may stumble over.
const LARGEST: &str = "socket_whole";

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
    let tried = match without_sys_admin(|| attach(probes, SMALLEST, offset)) {
        Ok(Ok(())) => Ok(Demand::Perfmon),
        _ => attach(probes, SMALLEST, offset).map(|()| Demand::SysAdmin),
    };
    match tried.and_then(|demand| attach(probes, LARGEST, offset).map(|()| demand)) {
        Ok(demand) => Trial::Works(demand),
        Err(AttachError::Refused(sentence)) => Trial::Refused(sentence),
        Err(error) => Trial::Unknown(error.to_string()),
    }
}

fn attach(probes: &mut Probes, program: &'static str, offset: u64) -> Result<(), AttachError> {
    let probe = Probe { program, offset, cookie: 0 };
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
