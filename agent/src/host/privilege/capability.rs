//! The capabilities that the agent uses: what each is for, what fails without it, and which of them it has.

use rustix::thread::{CapabilitySet, capabilities};
use std::fmt::Write as _;

/// A capability that the agent uses. It uses no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// CAP_BPF
    Bpf,
    /// CAP_PERFMON
    Perfmon,
    /// CAP_SYS_ADMIN
    SysAdmin,
    /// CAP_SYS_PTRACE
    SysPtrace,
    /// CAP_DAC_READ_SEARCH
    DacReadSearch,
    /// CAP_CHECKPOINT_RESTORE
    CheckpointRestore,
}

/// Whether a capability is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// It is.
    Own,
    /// It is not, but CAP_SYS_ADMIN is, which the kernel takes for it.
    ByAdmin,
    /// It is not.
    Missing,
}

/// The capabilities in effect for a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held(CapabilitySet);

impl Capability {
    /// All of them, in the order in which the agent comes to need them.
    pub const ALL: [Capability; 6] = [
        Capability::Bpf,
        Capability::Perfmon,
        Capability::SysAdmin,
        Capability::SysPtrace,
        Capability::DacReadSearch,
        Capability::CheckpointRestore,
    ];

    /// As the kernel's documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Capability::Bpf => "CAP_BPF",
            Capability::Perfmon => "CAP_PERFMON",
            Capability::SysAdmin => "CAP_SYS_ADMIN",
            Capability::SysPtrace => "CAP_SYS_PTRACE",
            Capability::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Capability::CheckpointRestore => "CAP_CHECKPOINT_RESTORE",
        }
    }

    /// What the agent does by it.
    #[must_use]
    pub const fn purpose(self) -> &'static str {
        match self {
            Capability::Bpf => "load programs into the kernel, make their maps and read them",
            Capability::Perfmon => {
                "load programs that read a traced process's memory; attach them, where the kernel is content with it"
            }
            Capability::SysAdmin => {
                "attach uprobes, where the kernel demands it; have the kernel count the programs' run time"
            }
            Capability::SysPtrace => {
                "open other processes' files through /proc/PID/root, and see which sockets they have"
            }
            Capability::DacReadSearch => {
                "read libraries in folders that only their owner may enter; list a process's descriptors; find the tracepoints"
            }
            Capability::CheckpointRestore => "read a library that was deleted or replaced under a running server",
        }
    }

    /// What the agent can not do without it, as a sentence's end.
    #[must_use]
    pub const fn without(self) -> &'static str {
        match self {
            Capability::Bpf | Capability::Perfmon => "nothing can be loaded, and the agent does not start",
            Capability::SysAdmin => "a kernel that demands it lets no uprobe be attached, and the agent does not start",
            Capability::SysPtrace => "servers of other users, or in containers, are found and cannot be attached to",
            Capability::DacReadSearch => {
                "libraries that only their owner can read are not probed, and connections that were open already are not known"
            }
            Capability::CheckpointRestore => "a library that was replaced under a running server is not probed",
        }
    }

    /// Whether the kernel takes CAP_SYS_ADMIN for it.
    #[must_use]
    pub const fn is_part_of_admin(self) -> bool {
        matches!(self, Capability::Bpf | Capability::Perfmon | Capability::CheckpointRestore)
    }

    pub(super) const fn set(self) -> CapabilitySet {
        match self {
            Capability::Bpf => CapabilitySet::BPF,
            Capability::Perfmon => CapabilitySet::PERFMON,
            Capability::SysAdmin => CapabilitySet::SYS_ADMIN,
            Capability::SysPtrace => CapabilitySet::SYS_PTRACE,
            Capability::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
            Capability::CheckpointRestore => CapabilitySet::CHECKPOINT_RESTORE,
        }
    }
}

impl Held {
    /// Those of this thread. None where the kernel does not say.
    #[must_use]
    pub fn now() -> Held {
        Held(capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective))
    }

    /// Whether this one is there.
    #[must_use]
    pub fn hold(self, capability: Capability) -> Hold {
        if self.0.contains(capability.set()) {
            return Hold::Own;
        }
        if capability.is_part_of_admin() && self.0.contains(CapabilitySet::SYS_ADMIN) {
            return Hold::ByAdmin;
        }
        Hold::Missing
    }

    /// Those of these that are missing, as the end of a sentence that told of a refusal: "; CAP_BPF is missing".
    /// Empty where all are there.
    #[must_use]
    pub fn blame(self, of: &[Capability]) -> String {
        let missing = of.iter().filter(|capability| self.hold(**capability) == Hold::Missing);
        missing.fold(String::new(), |mut text, capability| {
            let _ = write!(text, "; {} is missing", capability.name());
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(of: &[Capability]) -> Held {
        Held(of.iter().map(|capability| capability.set()).collect())
    }

    #[test]
    fn sys_admin_stands_for_those_that_were_cut_from_it() {
        let admin = held(&[Capability::SysAdmin]);
        assert_eq!(admin.hold(Capability::SysAdmin), Hold::Own);
        assert_eq!(admin.hold(Capability::Bpf), Hold::ByAdmin);
        assert_eq!(admin.hold(Capability::CheckpointRestore), Hold::ByAdmin);
        assert_eq!(admin.hold(Capability::SysPtrace), Hold::Missing);
        assert_eq!(held(&[Capability::Bpf]).hold(Capability::Perfmon), Hold::Missing);
    }

    #[test]
    fn what_is_missing_is_blamed() {
        let of = [Capability::SysPtrace, Capability::DacReadSearch];
        assert_eq!(held(&of).blame(&of), "");
        assert_eq!(held(&[Capability::SysPtrace]).blame(&of), "; CAP_DAC_READ_SEARCH is missing");
        assert_eq!(held(&[]).blame(&of), "; CAP_SYS_PTRACE is missing; CAP_DAC_READ_SEARCH is missing");
    }
}
