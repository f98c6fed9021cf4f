//! A fresh Debian host: its own file system and service manager, the machine's kernel and process ids.
//!
//! host.sh makes it. It ends, with everything that runs on it, when it is dropped.

use crate::tool::of_family;
use inferscope_tests::process_group::ProcessGroup;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A host begins at once; the machine may be busy.
const START: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What starts services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A systemd.
    Systemd,
    /// Nothing, as in a container.
    None,
}

/// A running host.
pub struct Host {
    holder: ProcessGroup,
    place: PathBuf,
}

/// What a command on a host did.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output and error, in this order.
    pub text: String,
    /// Standard error alone.
    pub errors: String,
}

impl Host {
    /// Starts one.
    pub fn start(init: Init) -> Host {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("deploy-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&place).expect("the target folder is writable");
        let root = of_family("debian/root");
        assert!(root.is_dir(), "no Debian in {}: run cargo xtask setup --deploy", root.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/host.sh");
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--propagation", "private", "sh"]).arg(script).arg(root).arg(&place);
        unshare.arg(if init == Init::Systemd { "systemd" } else { "none" }).stdin(Stdio::null());
        let holder = ProcessGroup::spawn(&mut unshare).expect("unshare starts");
        let mut host = Host { holder, place };
        host.wait_until("host.sh has made it", |host| host.path("/run/ready").exists());
        if init == Init::Systemd {
            host.wait_until("systemd answers", |host| host.run("systemctl is-system-running").text == "running\n");
        }
        host
    }

    /// A file of the host, as this process can open it. Symbolic links with absolute targets lead elsewhere.
    pub fn path(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let beneath = |path: &Path| path.strip_prefix("/").expect("an absolute path").to_owned();
        root.join(beneath(&self.place)).join("host").join(beneath(Path::new(path)))
    }

    /// Whether a file is there.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The content of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs a line of shell as root.
    pub fn run(&self, line: &str) -> Outcome {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string(), "chroot"]).arg(self.place.join("host"));
        command.args(["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]);
        let output = command.args(["sh", "-c", line]).stdin(Stdio::null()).output().expect("nsenter starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = format!("{}{errors}", String::from_utf8_lossy(&output.stdout));
        Outcome { code: output.status.code(), text, errors }
    }

    /// Runs a line that must succeed, and returns what it wrote.
    pub fn expect(&self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, Some(0), "{line}:\n{}", outcome.text);
        outcome.text
    }

    /// Waits for a condition.
    pub fn wait_until(&mut self, what: &str, holds: impl Fn(&Host) -> bool) {
        let deadline = Instant::now() + START;
        while !holds(self) {
            assert!(matches!(self.holder.try_wait(), Ok(None)), "the host ended before: {what}");
            assert!(Instant::now() < deadline, "not within {} s: {what}", START.as_secs());
            thread::sleep(POLL);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = self.holder.end() {
            eprintln!("the host could not be ended: {error}");
        }
        let _ = fs::remove_dir(&self.place);
    }
}
