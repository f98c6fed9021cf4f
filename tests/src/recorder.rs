//! `inferscope record` as a guard: it records until it is stopped.

use crate::agent;
use crate::process_group::ProcessGroup;
use anyhow::{Context, Result, bail, ensure};
use inferscope::core::{Input, ProcessChange};
use inferscope::event::Tgid;
use inferscope::tape::{Reader, Writer};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Loading programs and looking for libraries on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// The kernel waits for each probe until no processor is inside it.
const DETACHING: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// What of the traffic stays readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Masked, as tapes are by default.
    Masked,
    /// All: only for traffic that is nobody's.
    Kept,
}

/// A running recorder.
#[derive(Debug)]
pub struct Recorder {
    log: PathBuf,
    group: ProcessGroup,
}

impl Recorder {
    /// Starts recording to `tape`; what the recorder says goes to `log`, its configuration lies beside it. Its log must let
    /// pass what is said at level info.
    pub fn start(tape: &Path, log: &Path, text: Text, configuration: &str) -> Result<Recorder> {
        let config = log.with_extension("yaml");
        fs::write(&config, configuration)?;
        let mut command = Command::new(agent::binary());
        command.arg("record").arg(tape).arg("--config").arg(config);
        if text == Text::Kept {
            command.arg("--keep-text");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        let group = ProcessGroup::spawn(&mut command).context("the recorder does not start")?;
        Ok(Recorder { log: log.to_owned(), group })
    }

    /// Waits until it has put probes on `process`, or on any process where that is `None`.
    pub fn attached(&mut self, process: Option<u32>) -> Result<()> {
        let pid = process.map_or_else(|| "pid=".to_owned(), |process| format!("pid={process} "));
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let said = fs::read_to_string(&self.log)?;
            if said.lines().any(|line| line.contains("probes attached") && line.contains(&pid)) {
                return Ok(());
            }
            if let Some(status) = self.group.try_wait()? {
                bail!("the recorder ended with {status}:\n{said}");
            }
            thread::sleep(POLL);
        }
        bail!("the recorder attached nothing:\n{}", fs::read_to_string(&self.log)?)
    }

    /// Leaves on a tape what concerns the server that has `process` at its top: a host may have others.
    pub fn only(tape: &Path, process: u32) -> Result<()> {
        let reader = Reader::new(Cursor::new(fs::read(tape)?))?;
        let mut writer = Writer::new(File::create(tape)?, reader.header())?;
        let mut ours = BTreeSet::new();
        for input in reader {
            let input = input?;
            let belongs = match &input {
                Input::Process(ProcessChange::Started { tgid, root, .. }) => {
                    *root == Tgid(process) && (ours.insert(*tgid) || ours.contains(tgid))
                }
                Input::Process(ProcessChange::Ended { tgid, .. }) => ours.contains(tgid),
                Input::Kernel(event) => ours.contains(&event.conn.tgid),
                Input::Tick(_) => true,
            };
            if belongs {
                writer.write(&input)?;
            }
        }
        Ok(writer.flush()?)
    }

    /// Ends it: the tape is complete.
    pub fn stop(mut self) -> Result<()> {
        self.group.signal(libc::SIGTERM)?;
        let deadline = Instant::now() + DETACHING;
        let status = loop {
            if let Some(status) = self.group.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "the recorder does not end:\n{}", fs::read_to_string(&self.log)?);
            thread::sleep(POLL);
        };
        ensure!(status.success(), "the recorder failed with {status}:\n{}", fs::read_to_string(&self.log)?);
        Ok(())
    }
}
