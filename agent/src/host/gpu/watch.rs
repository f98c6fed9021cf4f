//! The thread that reads the GPUs. A driver may take its time, or hang: nothing else waits for it.

use super::drm::Drm;
use super::nvml::{End, Library, Memory, Place, Session};
use super::rhythm::Intervals;
use super::view::{Device, GpuView, Pids, Source, SourceState};
use crate::config;
use crate::event::Nanos;
use crate::host::{clock, findings};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// The thread; it ends when this is dropped, behind the call that it is in.
#[derive(Debug)]
pub struct Watch {
    _stop: Sender<()>,
}

/// What the thread has.
struct Reader<F> {
    place: Place,
    intervals: Intervals,
    memory: Memory,
    drm: Drm,
    pids: Pids,
    stopped: Receiver<()>,
    tell: F,
    /// Why there was no library, when that was last said.
    said: Option<String>,
}

impl Watch {
    /// Starts it; each view goes to `tell`, on that thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: &config::Gpu, tell: impl FnMut(GpuView) + Send + 'static) -> io::Result<Watch> {
        let (stop, stopped) = mpsc::channel();
        let intervals = intervals(config);
        let reader = Reader {
            place: Place::new(&config.library),
            intervals,
            memory: Memory::default(),
            drm: Drm::new(Path::new("/sys"), Path::new("/proc"), intervals),
            pids: if findings::in_host_pid_namespace() { Pids::Host } else { Pids::Foreign },
            stopped,
            tell,
            said: None,
        };
        thread::Builder::new().name("gpu".to_owned()).spawn(move || reader.run())?;
        Ok(Watch { _stop: stop })
    }
}

/// How often each group of readings is due.
#[must_use]
pub fn intervals(config: &config::Gpu) -> Intervals {
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    Intervals {
        activity: seconds(config.activity_seconds),
        telemetry: seconds(config.telemetry_seconds),
        errors: seconds(config.errors_seconds),
        inventory: seconds(config.inventory_seconds),
    }
}

impl<F: FnMut(GpuView)> Reader<F> {
    fn run(mut self) {
        while self.open().is_continue() {}
    }

    /// Opens the library and reads through it until it must be opened again.
    fn open(&mut self) -> ControlFlow<()> {
        let library = match Library::open(&self.place) {
            Ok(library) => library,
            Err(why) => return self.absent(why),
        };
        self.said = None;
        let mut session = Session::new(&library, self.intervals, clock::now());
        tracing::info!(
            driver = library.driver,
            devices = session.devices(&self.memory).len(),
            "reading GPUs through NVML"
        );
        loop {
            let now = clock::now();
            let end = session.turn(now, &mut self.memory);
            match end {
                Ok(()) => self.show(now, session.source(), session.devices(&self.memory)),
                Err(End::Changed) => {
                    tracing::info!("NVIDIA's library, driver or devices are others by now: opening it again");
                    return ControlFlow::Continue(());
                }
                Err(End::DeviceLost) => {
                    self.show(now, session.source(), session.devices(&self.memory));
                    tracing::warn!("a GPU was lost: opening the library again, it may be back");
                    return ControlFlow::Continue(());
                }
                Err(End::DriverGone(why)) => {
                    drop(session);
                    drop(library);
                    return self.absent(why);
                }
            }
            self.wait_until(session.next_due().min(self.drm.next_due()))?;
        }
    }

    /// There is no library now; says so, and waits before it is looked again.
    fn absent(&mut self, why: String) -> ControlFlow<()> {
        if self.said.as_ref() != Some(&why) {
            tracing::info!("no figures of NVIDIA GPUs: {why}");
            self.said = Some(why.clone());
        }
        let source = Source { name: "nvml", state: SourceState::Absent(why) };
        let began = clock::now();
        let pause = u64::try_from(self.intervals.inventory.as_nanos()).unwrap_or(u64::MAX);
        let again = Nanos(began.0.saturating_add(pause));
        let mut now = began;
        while now < again {
            self.show(now, source.clone(), Vec::new());
            self.wait_until(again.min(self.drm.next_due()))?;
            now = clock::now();
        }
        ControlFlow::Continue(())
    }

    /// Reads the other vendors' devices too, and tells all.
    fn show(&mut self, time: Nanos, nvml: Source, mut devices: Vec<Device>) {
        self.drm.turn(time);
        devices.extend(self.drm.devices().cloned());
        let sources = vec![nvml, self.drm.source()];
        (self.tell)(GpuView { time, sources, devices, pids: self.pids });
    }

    fn wait_until(&self, then: Nanos) -> ControlFlow<()> {
        let pause = Duration::from_nanos(then.since(clock::now()));
        match self.stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
        }
    }
}
