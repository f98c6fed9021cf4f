//! Records tests/replay/*.tape anew from the real servers: `cargo run -p inferscope-tests --bin record-tapes -- [NAME…]`, as
//! root. Tapes are masked. Each is replayed at once and held against what the client saw; what is then expected of them
//! is written by `UPDATE_EXPECT=1 cargo test -p inferscope-tests --test replay` and reviewed by a person.

mod comfyui;
mod triton;
mod vllm;

use anyhow::Result;
use inferscope_tests::recorder::{Recorder, Text};
use inferscope_tests::replay;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The recorder has found every process of a server and put its probes on it.
const FOUND: Duration = Duration::from_secs(4);
/// The last bytes have left the server.
const SENT: Duration = Duration::from_secs(1);

/// The tapes to record: those that were named, or all.
struct Wanted(Vec<String>);

impl Wanted {
    fn is(&self, name: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == name)
    }
}

fn main() -> Result<()> {
    let wanted = Wanted(std::env::args().skip(1).collect());
    vllm::record(&wanted)?;
    triton::record(&wanted)?;
    comfyui::record(&wanted)
}

/// Records a tape while `act` runs, once `process` (or any) has its probes: what `act` returned, and what the tape replays to.
fn take<T>(
    name: &str,
    configuration: &str,
    process: Option<u32>,
    act: impl FnOnce() -> Result<T>,
) -> Result<(T, Vec<Value>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay").join(format!("{name}.tape"));
    let mut recorder = Recorder::start(&path, &logs().join("stderr"), Text::Masked, configuration)?;
    recorder.attached(process)?;
    thread::sleep(FOUND);
    let seen = act()?;
    thread::sleep(SENT);
    recorder.stop()?;
    if let Some(process) = process {
        Recorder::only(&path, process)?;
    }
    Ok((seen, replay::records(&path)?))
}

/// What servers and recorders write.
fn logs() -> PathBuf {
    std::env::temp_dir().join("inferscope-tapes")
}
