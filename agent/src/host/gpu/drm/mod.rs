//! AMD's and Intel's devices, through what the kernel's DRM drivers show in /sys and /proc. No library, no privilege but
//! to look at other users' processes. NVIDIA's devices are left to [`super::nvml`].

mod card;
mod client;
#[cfg(test)]
mod tests;

use self::card::Card;
use self::client::Clients;
use super::lineage::Lineages;
use super::rhythm::{Intervals, Rhythm};
use super::view::{Device, Process, Reading, Source, SourceState};
use crate::event::Nanos;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads them.
#[derive(Debug)]
pub struct Drm {
    sys: PathBuf,
    cards: Vec<Card>,
    clients: Clients,
    lineages: Lineages,
    rhythm: Rhythm,
}

impl Drm {
    /// Reads below these folders: /sys and /proc.
    #[must_use]
    pub fn new(sys: &Path, proc: &Path, intervals: Intervals) -> Drm {
        Drm {
            sys: sys.to_owned(),
            cards: Vec::new(),
            clients: Clients::new(proc),
            lineages: Lineages::default(),
            rhythm: Rhythm::new(intervals),
        }
    }

    /// Reads what is due at `now`.
    pub fn turn(&mut self, now: Nanos) {
        let due = self.rhythm.due(now);
        if due.inventory {
            self.inventory();
        }
        for card in &mut self.cards {
            if due.activity {
                card.activity();
            }
            if due.telemetry {
                card.telemetry();
            }
            if due.errors {
                card.errors();
            }
        }
        if due.activity && !self.cards.is_empty() {
            self.processes(now);
        }
    }

    /// When [`Drm::turn`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Nanos {
        if self.cards.is_empty() { self.rhythm.next_inventory() } else { self.rhythm.next() }
    }

    /// The devices as they are known now.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.cards.iter().map(|card| &card.known)
    }

    /// How it stands.
    #[must_use]
    pub fn source(&self) -> Source {
        let state = if self.cards.is_empty() {
            SourceState::Absent("the kernel has no GPU of AMD or Intel".to_owned())
        } else {
            SourceState::Working { driver: None, problems: Vec::new() }
        };
        Source { name: "drm", state }
    }

    fn inventory(&mut self) {
        let mut before = std::mem::take(&mut self.cards);
        for folder in cards(&self.sys.join("class/drm")) {
            match before.iter().position(|card| card.is_at(&folder)) {
                Some(at) => self.cards.push(before.swap_remove(at)),
                None => self.cards.extend(Card::find(&folder)),
            }
        }
        if !self.cards.is_empty() {
            self.clients.find();
        }
    }

    fn processes(&mut self, now: Nanos) {
        let found = self.clients.read(now);
        for card in &mut self.cards {
            let of_card = found.iter().filter(|found| *found.pci == *card.known.pci);
            let processes = of_card.map(|found| {
                let (comm, ancestors) = self.lineages.of(found.tgid, now);
                let (tgid, kinds) = (found.tgid, found.kinds.clone());
                Process {
                    tgid,
                    kinds,
                    instance: None,
                    memory: found.memory.clone(),
                    sm: found.busy.clone(),
                    comm,
                    ancestors,
                }
            });
            card.known.processes = Reading::Ok(processes.collect());
        }
        self.lineages.forget_others(now);
    }
}

/// The folders `card0`, `card1`, … in the order of their numbers; `card0-DP-1` is a connector.
fn cards(folder: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut numbers: Vec<u32> = names.filter_map(|name| name.to_str()?.strip_prefix("card")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| folder.join(format!("card{number}"))).collect()
}
