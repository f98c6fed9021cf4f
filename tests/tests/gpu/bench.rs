//! A machine of its own for each test: a copy of the library with its scenario, and a collector that is stepped by hand.

use inferscope::config::Config;
use inferscope::correlate::{Owner, ServerProcess};
use inferscope::event::{Nanos, Tgid};
use inferscope::host::gpu::nvml::{End, Library, Memory, Place, Session};
use inferscope::host::gpu::view::{GpuView, Source, SourceState};
use inferscope::host::gpu::watch;
use inferscope::metric::Metrics;
pub use inferscope_nvml::cards::{GIB, hopper, machine, pascal, process};
use inferscope_nvml::{Sample, Scenario};
use prometheus_client::encoding::text;
use std::fs;
use std::path::{Path, PathBuf};

const SECOND: u64 = 1_000_000_000;

/// A machine.
pub struct Bench {
    pub folder: PathBuf,
    pub metrics: Metrics,
    config: Config,
    memory: Memory,
    /// Seconds that have passed.
    pub now: u64,
    pub servers: Vec<ServerProcess>,
    library: Option<&'static Library>,
    session: Option<Session<'static>>,
    /// What the collector said when it last ended.
    pub end: Option<End>,
    /// The last view.
    pub view: GpuView,
}

impl Bench {
    /// A machine whose library says this.
    pub fn new(name: &str, config: &str, scenario: &Scenario) -> Bench {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gpu").join(name);
        let _ = fs::remove_dir_all(&folder);
        inferscope_nvml::install(&folder).unwrap();
        scenario.write(&folder).unwrap();
        let config = Config::parse("test", config).unwrap();
        Bench {
            folder,
            metrics: Metrics::new(&config),
            config,
            memory: Memory::default(),
            now: 1000,
            servers: Vec::new(),
            library: None,
            session: None,
            end: None,
            view: GpuView::default(),
        }
    }

    /// A server's process, below the one at its top.
    pub fn server(&mut self, tgid: u32, root: u32, service: &str, model: &str) {
        let owner = Owner { engine: "vllm", service: service.into() };
        self.servers.push(ServerProcess { tgid: Tgid(tgid), root: Tgid(root), owner, model: model.into() });
    }

    /// The driver's folder of /proc, of this machine.
    pub fn driver(&self) -> PathBuf {
        self.folder.join("driver")
    }

    fn place(&self) -> Place {
        let library = self.folder.join(inferscope_nvml::LIBRARY);
        Place::new(library.to_str().unwrap()).with_driver(&self.driver())
    }

    /// So many seconds pass; then the collector takes its turn, opening the library where it must.
    pub fn step(&mut self, seconds: u64) {
        self.now += seconds;
        let now = Nanos(self.now * SECOND);
        let state = match self.open(now) {
            Ok(()) => {
                let session = self.session.as_mut().unwrap();
                self.end = session.turn(now, &mut self.memory).err();
                session.source()
            }
            Err(why) => Source { name: "nvml", state: SourceState::Absent(why) },
        };
        let devices = self.session.as_ref().map(|session| session.devices(&self.memory)).unwrap_or_default();
        self.view = GpuView { time: now, sources: vec![state], devices, ..GpuView::default() };
        self.metrics.gpus(&self.view, &self.servers);
        if self.end.is_some() {
            self.close();
        }
    }

    /// The same with another scenario from now on.
    pub fn then(&mut self, seconds: u64, scenario: &Scenario) {
        scenario.write(&self.folder).unwrap();
        self.step(seconds);
    }

    fn open(&mut self, now: Nanos) -> Result<(), String> {
        if self.session.is_none() {
            // Freed by `close`, behind the session that borrows it.
            let library: &'static Library = Box::leak(Box::new(Library::open(&self.place())?));
            self.library = Some(library);
            self.session = Some(Session::new(library, watch::intervals(&self.config.gpu), now));
        }
        Ok(())
    }

    /// Shuts the library down and unloads it.
    fn close(&mut self) {
        self.session = None;
        if let Some(library) = self.library.take() {
            // SAFETY: leaked by `open` from a box, and the only borrower has just been dropped.
            #[allow(unsafe_code)]
            drop(unsafe { Box::from_raw(std::ptr::from_ref(library).cast_mut()) });
        }
    }

    /// The series whose names begin so.
    pub fn series(&self, prefix: &str) -> String {
        let mut out = String::new();
        text::encode(&mut out, self.metrics.scrape()).unwrap();
        let lines: Vec<&str> = out.lines().filter(|line| line.starts_with(prefix)).collect();
        lines.join("\n")
    }

    /// All series of GPUs and of what servers used of them.
    pub fn all(&self) -> String {
        let parts = ["gpu_", "llm_energy", "llm_requests_impaired"].map(|prefix| self.series(prefix));
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// Why a source is absent, or what of it does not work.
    pub fn problems(&self) -> Vec<String> {
        match &self.view.sources[0].state {
            SourceState::Working { problems, .. } => problems.clone(),
            SourceState::Absent(why) => vec![why.clone()],
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.close();
    }
}

/// What it had, at a time in microseconds.
pub fn sample(pid: u32, sm: u32, time: u64) -> Sample {
    Sample { pid, sm, time: Some(time) }
}
