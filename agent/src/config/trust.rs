//! Whether a configuration file is the operator's alone: who can write it decides what the agent, with its capabilities,
//! attaches to and where it sends what it finds.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

const OTHERS_MAY_WRITE: u32 = 0o002;
const GROUP_MAY_WRITE: u32 = 0o020;
const ROOT: u32 = 0;

/// Says what is wrong with a file that more than its owner, root's group and the agent's own may write. What is no regular
/// file (a pipe, /dev/null) has no owner to trust.
pub(super) fn judge(metadata: &Metadata) -> Result<(), String> {
    if !metadata.is_file() {
        return Ok(());
    }
    of_mode(metadata.mode(), metadata.gid(), rustix::process::getegid().as_raw())
}

fn of_mode(mode: u32, group: u32, own_group: u32) -> Result<(), String> {
    if mode & OTHERS_MAY_WRITE != 0 {
        return Err(format!("everybody can write to it (mode {:04o}): `chmod o-w` it", mode & 0o7777));
    }
    if mode & GROUP_MAY_WRITE != 0 && group != ROOT && group != own_group {
        return Err(format!("group {group} can write to it (mode {:04o}): `chmod g-w` it", mode & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operator_may_write() {
        for (mode, group, is_trusted) in [
            (0o100_644, 1000, true),
            (0o100_600, 1000, true),
            (0o100_640, 1000, true),
            (0o100_660, 0, true),
            (0o100_664, 7, true),
            (0o100_664, 1000, false),
            (0o100_646, 0, false),
            (0o100_666, 0, false),
        ] {
            assert_eq!(of_mode(mode, group, 7).is_ok(), is_trusted, "{mode:o} of group {group}");
        }
        assert_eq!(of_mode(0o100_666, 0, 0), Err("everybody can write to it (mode 0666): `chmod o-w` it".to_owned()));
    }
}
