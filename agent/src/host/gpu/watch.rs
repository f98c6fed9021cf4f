//! The thread that reads the GPUs. A driver may take its time, or hang: nothing else waits for it.

use super::nvml::{End, Intervals, Library, Memory, Place, Session};
use super::view::{Device, GpuView, Pids, Source, SourceState};
use crate::config;
use crate::event::Nanos;
use crate::host::{capabilities, clock};
use std::io;
use std::ops::ControlFlow;
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
        let reader = Reader {
            place: Place::new(&config.library),
            intervals: intervals(config),
            memory: Memory::default(),
            pids: if capabilities::in_host_pid_namespace() { Pids::Host } else { Pids::Foreign },
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
                Ok(()) => self.show(now, vec![session.source()], session.devices(&self.memory)),
                Err(End::Changed) => {
                    tracing::info!("NVIDIA's library, driver or devices are others by now: opening it again");
                    return ControlFlow::Continue(());
                }
                Err(End::DeviceLost) => {
                    self.show(now, vec![session.source()], session.devices(&self.memory));
                    tracing::warn!("a GPU was lost: opening the library again, it may be back");
                    return ControlFlow::Continue(());
                }
                Err(End::DriverGone(why)) => {
                    drop(session);
                    drop(library);
                    return self.absent(why);
                }
            }
            self.wait(Duration::from_nanos(session.next_due().since(clock::now())))?;
        }
    }

    /// There is no library now; says so, and waits before it is looked again.
    fn absent(&mut self, why: String) -> ControlFlow<()> {
        if self.said.as_ref() != Some(&why) {
            tracing::info!("no figures of NVIDIA GPUs: {why}");
            self.said = Some(why.clone());
        }
        self.show(clock::now(), vec![Source { name: "nvml", state: SourceState::Absent(why) }], Vec::new());
        self.wait(self.intervals.inventory)
    }

    fn show(&mut self, time: Nanos, sources: Vec<Source>, devices: Vec<Device>) {
        (self.tell)(GpuView { time, sources, devices, pids: self.pids });
    }

    fn wait(&self, pause: Duration) -> ControlFlow<()> {
        match self.stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => ControlFlow::Continue(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
        }
    }
}
