//! A machine under another kernel, emulated by QEMU: a fresh Debian whose systemd is process 1, and a shell in it.
//!
//! Nothing of it outlives the test: its disks are written to copies, and QEMU ends with the thread that started it. It has
//! no network. The processor is emulated, so that a second means nothing in there.

use crate::disk;
use inferscope_tests::kernels_folder;
use inferscope_tests::process_group::ProcessGroup;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// For anything that should happen soon: the boot, the end of a command.
const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(500);
/// Both processors in one thread: with one for each, a kernel that patched its own code (int3 in `__schedule`) was once seen to
/// run what it had not written yet.
const ACCELERATOR: &str = "tcg,thread=single";
/// What QEMU emulates without complaint, and old kernels know.
const PROCESSOR: &str = "Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid";
/// What a Debian starts that no test needs.
const MASKED: &[&str] = &["getty.target", "getty-static.service", "timers.target", "e2scrub_reap.service"];

/// A running machine.
pub struct Guest {
    /// Ends it.
    _machine: ProcessGroup,
    shell: BufReader<UnixStream>,
    place: PathBuf,
}

/// What a line of shell did.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: i32,
    /// Standard output and error, in this order.
    pub text: String,
}

impl Guest {
    /// Boots one, until its systemd has started everything.
    pub fn boot(kernel: &str) -> Guest {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("kernels-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let disk = disk::make(&place);
        let (ours, its) = UnixStream::pair().expect("a pair of sockets");
        ours.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let machine = ProcessGroup::spawn(&mut machine(kernel, &disk, &place, its.into())).expect("QEMU starts");
        let mut guest = Guest { _machine: machine, shell: BufReader::new(ours), place };
        guest.line("ready");
        let state = guest.run("systemctl is-system-running --wait");
        assert_eq!(state.text, "running\n", "{}", guest.run("systemctl --failed --no-pager").text);
        guest
    }

    /// Runs a line of shell as root.
    pub fn run(&mut self, line: &str) -> Outcome {
        assert!(!line.contains('\n'), "one line: {line}");
        self.shell.get_mut().write_all(format!("{line}\n").as_bytes()).expect("the machine runs");
        let answer = self.line("");
        let numbers: Vec<usize> = answer.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [code, output, errors] = numbers[..] else { panic!("{line}: the shell says {answer:?}") };
        let mut bytes = vec![0; output + errors];
        self.shell.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{line}: {error}\n{}", self.console()));
        Outcome { code: i32::try_from(code).unwrap_or(-1), text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Runs a line that must succeed, and returns what it wrote.
    pub fn expect(&mut self, line: &str) -> String {
        let outcome = self.run(line);
        assert_eq!(outcome.code, 0, "{line}:\n{}", outcome.text);
        outcome.text
    }

    /// Runs a line until it succeeds, and returns what it wrote then.
    pub fn wait_for(&mut self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = self.run(line);
            if outcome.code == 0 {
                return outcome.text;
            }
            assert!(Instant::now() < deadline, "not within {} s: {line}:\n{}", PATIENCE.as_secs(), outcome.text);
            thread::sleep(POLL);
        }
    }

    /// The shell's next line; if `wanted` is not empty, that one.
    fn line(&mut self, wanted: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.shell.read_line(&mut line);
            assert!(matches!(read, Ok(1..)), "the machine says nothing more: {read:?}\n{}", self.console());
            let line = line.trim();
            if wanted.is_empty() || line == wanted {
                return line.to_owned();
            }
        }
    }

    fn console(&self) -> String {
        fs::read_to_string(self.place.join("console")).unwrap_or_default()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // QEMU has these files open; that they have no names any more is no matter to it.
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn machine(kernel: &str, disk: &Path, place: &Path, shell: OwnedFd) -> Command {
    let (folder, root) = (kernels_folder().join(kernel), kernels_folder().join("root.ext4"));
    assert!(folder.is_dir() && root.is_file(), "no {}: run cargo xtask setup --kernels", folder.display());
    let masks: String = MASKED.iter().map(|unit| format!(" systemd.mask={unit}")).collect();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-machine", "q35", "-cpu", PROCESSOR]);
    command.args(["-accel", ACCELERATOR, "-smp", "2", "-m", "1024", "-nodefaults", "-no-user-config"]);
    command.args(["-display", "none", "-no-reboot", "-kernel"]).arg(folder.join("vmlinuz"));
    command.arg("-initrd").arg(folder.join("initramfs"));
    command.arg("-append").arg(format!("console=ttyS0 quiet panic=-1 systemd.show_status=error{masks}"));
    for (id, disk) in [("root", root.as_path()), ("test", disk)] {
        // What is written goes to a file of QEMU's own that has no name.
        command.arg("-drive").arg(format!("file={},if=none,id={id},format=raw,snapshot=on", disk.display()));
        command.args(["-device", &format!("virtio-blk-pci,drive={id}")]);
    }
    command.arg("-serial").arg(format!("file:{}", place.join("console").display()));
    command.args(["-chardev", "stdio,id=shell,signal=off", "-serial", "chardev:shell"]);
    let again = shell.try_clone().expect("a descriptor");
    command.stdin(Stdio::from(shell)).stdout(Stdio::from(again));
    command
}
