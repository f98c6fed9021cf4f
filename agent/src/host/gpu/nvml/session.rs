//! Reading through one open library: every device, each group of readings when it is due.

use super::device::Seat;
use super::library::Library;
use super::{Memory, raw, reading};
use crate::event::Nanos;
use crate::host::gpu::rhythm::{Groups, Intervals, Rhythm};
use crate::host::gpu::view::{Absence, Device, Source, SourceState};
use nvml_wrapper::EventSet;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use std::sync::Arc;

/// Events taken in one turn, so that a device that reports without end holds nobody up.
const EVENTS: usize = 1000;
/// What NVML itself says for an error that it has no number of.
const UNKNOWN_XID: u64 = 999;

/// Why a session is over: the library must be opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The library, the driver or the devices are others by now.
    Changed,
    /// A device is gone; it may come back.
    DeviceLost,
    /// The driver no longer answers.
    DriverGone(String),
}

/// The reading.
#[derive(Debug)]
pub struct Session<'l> {
    library: &'l Library,
    seats: Vec<Seat<'l>>,
    /// So many devices the library had when it was opened.
    count: u32,
    /// The numbers of those that could not be taken.
    missing: Vec<u32>,
    events: Option<EventSet<'l>>,
    problems: Vec<String>,
    rhythm: Rhythm,
}

impl<'l> Session<'l> {
    /// Takes all devices that the library has. One that cannot be taken is a problem, not an end.
    pub fn new(library: &'l Library, intervals: Intervals, now: Nanos) -> Session<'l> {
        let (mut seats, mut missing, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        let count = library.device_count().unwrap_or_else(|why| {
            problems.push(why);
            0
        });
        for index in 0..count {
            match Seat::take(library, index) {
                Ok(seat) => seats.push(seat),
                Err(error) => {
                    missing.push(index);
                    problems.push(format!("device {index}: {error}"));
                }
            }
        }
        let events = match watch(library, &seats) {
            Ok(events) => Some(events),
            Err(error) => {
                problems.push(format!("errors of the driver (XID) are not seen: {error}"));
                None
            }
        };
        let mut rhythm = Rhythm::new(intervals);
        // The seats have just taken theirs.
        rhythm.inventoried(now);
        Session { library, seats, count, missing, events, problems, rhythm }
    }

    /// Reads what is due at `now`. Call it about as often as the shortest interval.
    ///
    /// # Errors
    /// When the library must be closed and opened again.
    pub fn turn(&mut self, now: Nanos, memory: &mut Memory) -> Result<(), End> {
        let lost = self.drain(now, memory);
        let Session { seats, rhythm, .. } = self;
        let Groups { activity, telemetry, errors, inventory } = rhythm.due(now);
        for seat in seats.iter_mut().filter(|seat| !seat.is_lost()) {
            if inventory {
                seat.inventory();
            }
            if activity {
                seat.activity(memory, now);
            }
            if telemetry {
                seat.telemetry();
            }
            if errors {
                seat.errors();
            }
            if seat.is_lost() {
                seat.lose();
            }
        }
        if activity {
            memory.lineages.forget_others(now);
        }
        for seat in &mut *seats {
            seat.known.xids = memory.xids.get(&seat.known.uuid).cloned().unwrap_or_default();
            if seat.is_lost() {
                memory.lost.insert(Arc::clone(&seat.known.uuid), seat.known.clone());
            } else {
                memory.lost.remove(&seat.known.uuid);
            }
        }
        if inventory { self.changed() } else { lost }
    }

    /// When [`Session::turn`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Nanos {
        self.rhythm.next()
    }

    /// The devices as they are known now, those that are gone included.
    #[must_use]
    pub fn devices(&self, memory: &Memory) -> Vec<Device> {
        let here: Vec<Device> = self.seats.iter().map(|seat| seat.known.clone()).collect();
        let is_here = |uuid: &Arc<str>| here.iter().any(|device| device.uuid == *uuid);
        let lost: Vec<Device> =
            memory.lost.iter().filter(|(uuid, _)| !is_here(uuid)).map(|(_, device)| device.clone()).collect();
        here.into_iter().chain(lost).collect()
    }

    /// How NVML stands.
    #[must_use]
    pub fn source(&self) -> Source {
        let driver = Some(self.library.driver.as_str().into());
        let mut problems = self.problems.clone();
        let lost = self.seats.iter().filter(|seat| seat.is_lost());
        problems.extend(lost.map(|seat| format!("device {}: lost", seat.known.index)));
        Source { name: "nvml", state: SourceState::Working { driver, problems } }
    }

    /// Whether it is worth opening the library again.
    fn changed(&self) -> Result<(), End> {
        if self.library.is_outdated() {
            return Err(End::Changed);
        }
        match self.library.nvml.device_count() {
            Ok(count) if count == self.count => {}
            Ok(_) => return Err(End::Changed),
            Err(error) => return Err(End::DriverGone(error.to_string())),
        }
        // A device that the agent may not open stays missing; one that was lost may be back.
        if self.missing.iter().any(|index| Seat::take(self.library, *index).is_ok()) {
            return Err(End::Changed);
        }
        if self.seats.iter().any(Seat::is_lost) { Err(End::DeviceLost) } else { Ok(()) }
    }

    /// Counts the errors that the driver reported.
    fn drain(&self, now: Nanos, memory: &mut Memory) -> Result<(), End> {
        let Some(events) = &self.events else { return Ok(()) };
        for _ in 0..EVENTS {
            match events.wait(0) {
                Ok(event) => {
                    let number = match event.event_data {
                        Some(XidError::Value(number)) => number,
                        Some(XidError::Unknown) => UNKNOWN_XID,
                        None => continue,
                    };
                    // A lost device may no longer tell its name, but its handle is still the same.
                    let seat = self.seats.iter().find(|seat| raw::is_same(seat.device(), &event.device));
                    if let Some(seat) = seat {
                        memory.xid(&seat.known.uuid, number, now);
                        tracing::warn!(device = &*seat.known.uuid, xid = number, "the driver reported an error");
                    }
                }
                Err(NvmlError::Timeout) => break,
                Err(error @ (NvmlError::Uninitialized | NvmlError::DriverNotLoaded)) => {
                    return Err(End::DriverGone(error.to_string()));
                }
                // A lost device's own calls say so too.
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Registers every device for errors.
fn watch<'l>(library: &'l Library, seats: &[Seat<'l>]) -> Result<EventSet<'l>, Absence> {
    let mut events = reading(library.nvml.create_event_set())?;
    for seat in seats {
        // An unsuccessful registration takes the set with it.
        let supported = seat.device().supported_event_types();
        if supported.is_ok_and(|types| types.contains(EventTypes::CRITICAL_XID_ERROR)) {
            let registered = seat.device().register_events(EventTypes::CRITICAL_XID_ERROR, events);
            events = reading(registered.map_err(|error| error.error))?;
        }
    }
    Ok(events)
}
