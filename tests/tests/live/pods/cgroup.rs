//! Cgroups of ours in the host's hierarchy.

use std::fs;
use std::path::PathBuf;

/// A cgroup of ours with one process in it, which leaves before it is removed.
pub struct Cgroup {
    hierarchy: PathBuf,
    path: PathBuf,
}

impl Cgroup {
    /// Moves a process there. Of several hierarchies (v1) one is enough.
    pub fn around(pid: u32, path: &str) -> Cgroup {
        let hierarchy = hierarchy();
        let cgroup = Cgroup { path: hierarchy.join(path), hierarchy };
        fs::create_dir_all(&cgroup.path).expect("cgroups can be made");
        fs::write(cgroup.path.join("cgroup.procs"), pid.to_string()).expect("the process can be moved");
        cgroup
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let inside = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines() {
            let _ = fs::write(self.hierarchy.join("cgroup.procs"), pid);
        }
        // Those above are removed as far as they are empty.
        let above = self.path.ancestors().take_while(|path| **path != *self.hierarchy);
        let _ = above.map(fs::remove_dir).find(Result::is_err);
    }
}

/// The unified hierarchy where there is one, else any.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").expect("there is /proc");
    let of_kind = |kind: &str| {
        mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .find(|mount| mount[2] == kind)
            .map(|m| m[1].into())
    };
    of_kind("cgroup2").or_else(|| of_kind("cgroup")).expect("this host has cgroups")
}
