//! The thread itself, in real seconds: a library that comes, a driver that goes, and an end in time.

use crate::bench::{hopper, machine};
use inferscope::config::Config;
use inferscope::host::gpu::view::{GpuView, SourceState};
use inferscope::host::gpu::watch::Watch;
use inferscope_nvml::{LIBRARY, Scenario};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const UNKNOWN: u32 = 999;

fn wait(views: &Receiver<GpuView>, what: &str, holds: impl Fn(&GpuView) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while let Ok(view) = views.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if holds(&view) {
            return;
        }
    }
    panic!("not in time: {what}");
}

fn is_absent(view: &GpuView) -> bool {
    matches!(view.sources[0].state, SourceState::Absent(_)) && view.devices.is_empty()
}

#[test]
fn what_comes_and_goes_is_followed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu/thread");
    let _ = fs::remove_dir_all(&folder);
    let text = format!("gpu: {{library: {:?}, inventory_seconds: 1}}", folder.join(LIBRARY).display());
    let config = Config::parse("test", &text).unwrap();
    let (tell, views) = mpsc::channel();
    let watch = Watch::start(&config.gpu, move |view| {
        let _ = tell.send(view);
    });
    wait(&views, "there is no library", is_absent);

    fs::create_dir_all(&folder).unwrap();
    machine(vec![hopper(0)]).write(&folder).unwrap();
    inferscope_nvml::install(&folder).unwrap();
    wait(&views, "it is there", |view| view.devices.len() == 1);

    let gone = [("nvmlInit_v2", UNKNOWN), ("nvmlDeviceGetCount_v2", UNKNOWN)];
    let failures = gone.map(|(name, code)| (name.to_owned(), code)).into();
    Scenario { failures, ..machine(vec![hopper(0)]) }.write(&folder).unwrap();
    wait(&views, "its driver is gone", is_absent);

    machine(vec![hopper(0), hopper(1)]).write(&folder).unwrap();
    wait(&views, "another one is there", |view| view.devices.len() == 2);

    drop(watch);
    loop {
        match views.recv_timeout(PATIENCE) {
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("the thread does not end"),
        }
    }
}
