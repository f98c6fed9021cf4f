//! Gives up what the agent does not need once it runs, for good: the calling thread and all that it starts from then on.
//!
//! What it needs as long as it runs stays: servers come and go, and each new one is opened, and probed with programs that
//! are loaded when they are first needed. Threads that run already keep what they have, so call this before the first.

use super::capability::Capability;
use rustix::io::{Errno, Result};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What the kernel demands of who attaches a uprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Demand {
    /// CAP_PERFMON is enough.
    Perfmon,
    /// It must be CAP_SYS_ADMIN, or nothing is known of it.
    SysAdmin,
}

/// Gives up every capability but those that the agent uses, and CAP_SYS_ADMIN too where it is not demanded. No program that
/// this process might start gains any. Returns the names of those that are kept.
///
/// # Errors
/// When the kernel, or a seccomp filter, does not let it.
pub fn give_up(demand: Demand) -> Result<Vec<&'static str>> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let used = used(demand);
    bound(used)?;
    let kept = capabilities(None)?.permitted & used;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() })?;
    let names = Capability::ALL.into_iter().filter(|capability| kept.contains(capability.set()));
    Ok(names.map(Capability::name).collect())
}

/// Does something while CAP_SYS_ADMIN is not in effect.
///
/// # Errors
/// When the kernel does not let it be lowered or raised again.
pub fn without_sys_admin<T>(action: impl FnOnce() -> T) -> Result<T> {
    let before = capabilities(None)?;
    let effective = before.effective.difference(CapabilitySet::SYS_ADMIN);
    set_capabilities(None, CapabilitySets { effective, ..before })?;
    let result = action();
    set_capabilities(None, before)?;
    Ok(result)
}

fn used(demand: Demand) -> CapabilitySet {
    let all: CapabilitySet = Capability::ALL.into_iter().map(Capability::set).collect();
    match demand {
        Demand::Perfmon => all.difference(CapabilitySet::SYS_ADMIN),
        Demand::SysAdmin => all,
    }
}

/// The bounding set, as far as this thread may change it: who has not CAP_SETPCAP was started with a set that was chosen.
fn bound(used: CapabilitySet) -> Result<()> {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !used.contains(capability) => {}
            Ok(_) => continue,
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
        match remove_capability_from_bounding_set(capability) {
            Err(Errno::PERM) => break,
            result => result?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::privilege::{Held, Hold};
    use std::thread;

    /// In a thread of its own: capabilities are a thread's.
    #[test]
    fn what_is_given_up_is_gone_and_what_is_kept_is_what_was_there() {
        let before = Held::now();
        let (kept, after) = thread::spawn(|| (give_up(Demand::Perfmon).unwrap(), Held::now())).join().unwrap();
        for capability in Capability::ALL {
            let stays = capability != Capability::SysAdmin && before.hold(capability) == Hold::Own;
            assert_eq!(after.hold(capability) == Hold::Own, stays, "{capability:?}");
            assert_eq!(kept.contains(&capability.name()), stays, "{capability:?}");
        }
        let again = thread::spawn(|| rustix::thread::no_new_privs().unwrap()).join().unwrap();
        assert!(!again, "only that thread gave up");
    }

    #[test]
    fn sys_admin_is_lowered_for_a_moment() {
        thread::spawn(|| {
            let before = Held::now();
            let during = without_sys_admin(Held::now).unwrap();
            assert_eq!(during.hold(Capability::SysAdmin), Hold::Missing);
            assert_eq!(Held::now(), before);
        })
        .join()
        .unwrap();
    }
}
