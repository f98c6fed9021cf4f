//! The processes on cards: /proc/PID/fdinfo of descriptors that are open on a DRM device
//! (Documentation/gpu/drm-usage-stats.rst in the kernel).
//!
//! Which processes have one is looked up seldom, what they use often.

use crate::event::{Nanos, Tgid};
use crate::host::gpu::view::{Absence, Kind, Reading};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Descriptors that are read at once; a process with more has opened the device for each of its threads.
const DESCRIPTORS: usize = 4096;
/// Engines that do what NVIDIA's multiprocessors do, by their names in AMD's and Intel's drivers.
const ENGINES: [&str; 5] = ["gfx", "compute", "render", "rcs", "ccs"];

/// Descriptors, and what each client had used at the last reading.
#[derive(Debug)]
pub(super) struct Clients {
    proc: PathBuf,
    descriptors: Vec<(Tgid, PathBuf)>,
    before: Option<(Nanos, Worked)>,
}

/// A client of a device. A descriptor that was handed on, or inherited, is the same client.
type Id = (String, u64);

/// Nanoseconds that each engine had worked for each client.
type Worked = BTreeMap<Id, BTreeMap<String, u64>>;

/// A process on a card.
#[derive(Debug)]
pub(super) struct Found {
    pub tgid: Tgid,
    /// The card's place on the bus.
    pub pci: String,
    pub kinds: BTreeSet<Kind>,
    /// Bytes of the card's own memory.
    pub memory: Reading<u64>,
    /// Percent of the time that its busiest engine worked for it.
    pub busy: Reading<f64>,
}

/// What one descriptor says.
#[derive(Debug, PartialEq, Eq)]
struct Client {
    id: Id,
    memory: Option<u64>,
    /// Nanoseconds that each engine worked for it.
    engines: BTreeMap<String, u64>,
}

impl Clients {
    pub fn new(proc: &Path) -> Clients {
        Clients { proc: proc.to_owned(), descriptors: Vec::new(), before: None }
    }

    /// Looks for descriptors that are open on a DRM device.
    pub fn find(&mut self) {
        self.descriptors.clear();
        let mut pids: Vec<u32> = names(&self.proc).filter_map(|name| name.parse().ok()).collect();
        pids.sort_unstable();
        for pid in pids {
            let folder = self.proc.join(pid.to_string());
            for name in names(&folder.join("fd")) {
                let target = fs::read_link(folder.join("fd").join(&name)).unwrap_or_default();
                if target.starts_with("/dev/dri") && self.descriptors.len() < DESCRIPTORS {
                    self.descriptors.push((Tgid(pid), folder.join("fdinfo").join(&name)));
                }
            }
        }
    }

    /// What the processes use now, in the order of their ids.
    pub fn read(&mut self, now: Nanos) -> Vec<Found> {
        let mut seen = Worked::new();
        let mut of_process: BTreeMap<(Tgid, String), Vec<Client>> = BTreeMap::new();
        for (tgid, path) in &self.descriptors {
            let Some(client) = fs::read_to_string(path).ok().and_then(|text| parse(&text)) else { continue };
            // Of several processes that share a client, the first is credited.
            if seen.insert(client.id.clone(), client.engines.clone()).is_none() {
                of_process.entry((*tgid, client.id.0.clone())).or_default().push(client);
            }
        }
        let before = self.before.replace((now, seen));
        let found = of_process.into_iter().map(|((tgid, pci), clients)| Found {
            tgid,
            pci,
            kinds: BTreeSet::from([Kind::Graphics]),
            memory: memory(&clients),
            busy: busy(&clients, before.as_ref(), now),
        });
        found.collect()
    }
}

fn memory(clients: &[Client]) -> Reading<u64> {
    let known: Vec<u64> = clients.iter().filter_map(|client| client.memory).collect();
    if known.is_empty() { Err(Absence::Unsupported) } else { Ok(known.into_iter().fold(0, u64::saturating_add)) }
}

fn busy(clients: &[Client], before: Option<&(Nanos, Worked)>, now: Nanos) -> Reading<f64> {
    if clients.iter().all(|client| client.engines.is_empty()) {
        return Err(Absence::Unsupported);
    }
    let (then, before) = before.ok_or(Absence::NotYet)?;
    let mut worked: BTreeMap<&str, u64> = BTreeMap::new();
    for Client { id, engines, .. } in clients {
        // What a new client did before it was first seen belongs to a time that is not known.
        let Some(past) = before.get(id) else { continue };
        for (engine, nanos) in engines {
            let since = nanos.saturating_sub(past.get(engine).copied().unwrap_or(0));
            let sum = worked.entry(engine).or_default();
            *sum = sum.saturating_add(since);
        }
    }
    let busiest = worked.into_values().max().unwrap_or(0);
    match now.since(*then) {
        0 => Err(Absence::NotYet),
        elapsed => Ok(busiest as f64 / elapsed as f64 * 100.0),
    }
}

/// Reads `key: value` lines; `None` where it is not about a DRM client on the PCI bus.
fn parse(text: &str) -> Option<Client> {
    let (mut pci, mut number, mut resident, mut total) = (None, None, None, None);
    let mut engines = BTreeMap::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match key {
            "drm-pdev" => pci = Some(value.to_owned()),
            "drm-client-id" => number = value.parse().ok(),
            // amdgpu before 6.13 says "memory", i915 and xe say "resident" of each region.
            "drm-memory-vram" | "drm-resident-vram" | "drm-resident-vram0" | "drm-resident-local0" => {
                resident = bytes(value).or(resident);
            }
            "drm-total-vram" | "drm-total-vram0" | "drm-total-local0" => total = bytes(value),
            _ => {
                let engine = key.strip_prefix("drm-engine-").filter(|engine| ENGINES.contains(engine));
                let nanos = value.strip_suffix(" ns").and_then(|nanos| nanos.parse().ok());
                if let (Some(engine), Some(nanos)) = (engine, nanos) {
                    engines.insert(engine.to_owned(), nanos);
                }
            }
        }
    }
    Some(Client { id: (pci?, number?), memory: resident.or(total), engines })
}

/// `12 KiB`
fn bytes(value: &str) -> Option<u64> {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let scale = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
