//! The real ComfyUI as a guard: started by tests/engines/run-comfyui.sh, ready when it is returned, gone when it is dropped.
//!
//! What it reads and writes lies in a folder of its own. It installs nothing: `cargo xtask setup --engines` does.

pub mod agreement;
mod client;

pub use client::{Load, Mode, Own, Prompt, read};

use crate::process_group::ProcessGroup;
use crate::vllm::{Transport, engines};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Importing torch on a busy machine.
const START: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(500);
/// Lines of the log that a failure shows.
const LOG_TAIL: usize = 30;

/// A running ComfyUI.
#[derive(Debug)]
pub struct ComfyServer {
    address: SocketAddr,
    transport: Transport,
    log: PathBuf,
    group: ProcessGroup,
}

impl ComfyServer {
    /// Starts ComfyUI on a free port and waits until it serves. `folder` holds its log and all that it reads and writes;
    /// `arguments` are more of main.py's.
    pub fn start(transport: Transport, arguments: &[&str], folder: &Path) -> Result<ComfyServer> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        ComfyServer::start_at(address, transport, arguments, folder)
    }

    /// As [`ComfyServer::start`], where another one was before.
    pub fn start_at(
        address: SocketAddr,
        transport: Transport,
        arguments: &[&str],
        folder: &Path,
    ) -> Result<ComfyServer> {
        let engines = engines();
        ensure!(
            engines.join("comfyui").is_dir(),
            "no ComfyUI in {}: run cargo xtask setup --engines",
            engines.display()
        );
        fs::create_dir_all(folder)?;
        let log = folder.join(format!("comfyui-{}.log", address.port()));
        let file = File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/run-comfyui.sh"));
        command.arg(address.port().to_string()).arg(folder.join("comfyui")).args(arguments);
        command.env("INFERSCOPE_ENGINES", engines).env("TLS", transport.name());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let group = ProcessGroup::spawn(&mut command).context("run-comfyui.sh does not start")?;
        let mut server = ComfyServer { address, transport, log, group };
        server.wait()?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its one process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Everything that it has written so far is here.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn kill(mut self) -> Result<()> {
        self.group.signal(libc::SIGKILL)?;
        self.group.end()?;
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.group.try_wait()? {
                bail!("ComfyUI ended with {status}:\n{}", self.last_words());
            }
            if self.answers() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("ComfyUI did not serve within {} s:\n{}", START.as_secs(), self.last_words())
    }

    /// The client's interpreter takes half a second of a processor, so it is asked only when somebody listens.
    fn answers(&self) -> bool {
        std::net::TcpStream::connect(self.address).is_ok() && self.drive(&Load::of("health")).is_ok()
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}
