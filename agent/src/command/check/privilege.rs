//! The capabilities as a table, and what this kernel demands for uprobes.

use crate::host::findings::{Finding, Verdict};
use crate::host::privilege::give_up::Demand;
use crate::host::privilege::{Capability, Held, Hold};
use crate::kernel::attach::Probes;
use crate::kernel::trial::{Trial, trial};
use serde::Serialize;

/// One capability.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// As the kernel's documents write it.
    pub name: &'static str,
    /// Whether it is there.
    pub state: State,
    /// What the agent does by it.
    pub purpose: &'static str,
    /// What the agent can not do without it.
    pub without: &'static str,
}

/// Whether a capability is there, and has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// It is there.
    Own,
    /// CAP_SYS_ADMIN, which is there, stands for it.
    ByAdmin,
    /// This kernel does not demand it: `run` gives it up where it is there.
    NotDemanded,
    /// It is not there.
    Missing,
}

/// Attaches a uprobe to this very program and takes it off again.
pub(super) fn uprobes(probes: &mut Probes) -> (Finding, Demand) {
    let (verdict, detail, demand) = match trial(probes) {
        Trial::Works(Demand::Perfmon) => {
            (Verdict::Ok, "CAP_PERFMON is enough to attach one".to_owned(), Demand::Perfmon)
        }
        Trial::Works(Demand::SysAdmin) => {
            (Verdict::Ok, "this kernel demands CAP_SYS_ADMIN to attach one".to_owned(), Demand::SysAdmin)
        }
        Trial::Refused(sentence) => (Verdict::Fatal, sentence, Demand::SysAdmin),
        Trial::Unknown(reason) => (Verdict::Missing, format!("could not be tried: {reason}"), Demand::SysAdmin),
    };
    (Finding::new("uprobes", verdict, detail), demand)
}

/// All that the agent uses.
pub(super) fn rows(held: Held, demand: Demand) -> Vec<Row> {
    let row = |capability: Capability| Row {
        name: capability.name(),
        state: state(capability, held, demand),
        purpose: capability.purpose(),
        without: capability.without(),
    };
    Capability::ALL.into_iter().map(row).collect()
}

fn state(capability: Capability, held: Held, demand: Demand) -> State {
    match (capability, demand, held.hold(capability)) {
        (Capability::SysAdmin, Demand::Perfmon, _) => State::NotDemanded,
        (_, _, Hold::Own) => State::Own,
        (_, _, Hold::ByAdmin) => State::ByAdmin,
        (_, _, Hold::Missing) => State::Missing,
    }
}

impl Row {
    /// As a line of the table.
    pub(super) fn line(&self) -> String {
        let Row { name, state, purpose, without } = self;
        let (mark, rest) = match state {
            State::Own => ("yes", String::new()),
            State::ByAdmin => ("by CAP_SYS_ADMIN", String::new()),
            State::NotDemanded => ("not demanded", String::new()),
            State::Missing => ("MISSING", format!("; without it {without}")),
        };
        format!("{mark:<17} {name:<23} to {purpose}{rest}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: State) -> String {
        Row { name: "CAP_X", state, purpose: "do it", without: "it is not done" }.line()
    }

    #[test]
    fn a_line_says_what_fails_only_where_it_does() {
        assert_eq!(line(State::Own), "yes               CAP_X                   to do it");
        assert_eq!(
            line(State::Missing),
            "MISSING           CAP_X                   to do it; without it it is not done"
        );
    }

    #[test]
    fn sys_admin_is_not_asked_for_where_the_kernel_does_not() {
        let held = Held::now();
        assert_eq!(state(Capability::SysAdmin, held, Demand::Perfmon), State::NotDemanded);
        assert_ne!(state(Capability::SysAdmin, held, Demand::SysAdmin), State::NotDemanded);
    }
}
