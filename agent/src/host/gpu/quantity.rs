//! What is read of a GPU: a closed list. Each quantity is of one unit whatever the vendor calls it.

use super::view::{Absence, Reading};
use std::collections::BTreeMap;

/// One number that a device or a MIG instance may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Percent of the time in which anything ran on it.
    Utilization,
    /// Percent of the time in which its memory was read or written.
    MemoryBusy,
    /// Bytes allocated.
    MemoryUsed,
    /// Bytes that it has.
    MemoryTotal,
    /// Bytes that can be allocated.
    MemoryFree,
    /// Percent of the time in which the video encoder was busy.
    Encoder,
    /// Percent of the time in which the video decoder was busy.
    Decoder,
    /// Ratio of the time in which any graphics or compute engine was active.
    GraphicsActive,
    /// Ratio of the multiprocessors that were busy.
    SmActive,
    /// Ratio of warps that were resident, of those that could have been.
    SmOccupancy,
    /// Ratio of the time in which tensor cores were active.
    TensorActive,
    /// Ratio of the memory bandwidth that was used.
    DramActive,
    /// Degrees Celsius of the die.
    Temperature,
    /// Degrees Celsius of the memory.
    MemoryTemperature,
    /// Watts drawn.
    Power,
    /// Watts that it may draw.
    PowerLimit,
    /// Joules since the driver was loaded.
    Energy,
    /// Hertz of the multiprocessors.
    SmClock,
    /// Hertz of the memory.
    MemoryClock,
    /// Bytes per second to the host.
    PcieTx,
    /// Bytes per second from the host.
    PcieRx,
    /// Bytes sent over all links to other GPUs, since the driver was loaded.
    NvlinkTx,
    /// Bytes received over them.
    NvlinkRx,
    /// Percent of full speed of the fastest fan.
    Fan,
    /// Memory errors corrected since the driver was loaded.
    EccCorrected,
    /// Memory errors not corrected since the driver was loaded.
    EccUncorrected,
    /// Memory pages taken out of use, ever.
    RetiredPages,
    /// Memory rows replaced by spare ones, ever.
    RemappedRows,
}

impl Quantity {
    /// Every one, in the order of declaration.
    pub const ALL: [Quantity; 28] = [
        Quantity::Utilization,
        Quantity::MemoryBusy,
        Quantity::MemoryUsed,
        Quantity::MemoryTotal,
        Quantity::MemoryFree,
        Quantity::Encoder,
        Quantity::Decoder,
        Quantity::GraphicsActive,
        Quantity::SmActive,
        Quantity::SmOccupancy,
        Quantity::TensorActive,
        Quantity::DramActive,
        Quantity::Temperature,
        Quantity::MemoryTemperature,
        Quantity::Power,
        Quantity::PowerLimit,
        Quantity::Energy,
        Quantity::SmClock,
        Quantity::MemoryClock,
        Quantity::PcieTx,
        Quantity::PcieRx,
        Quantity::NvlinkTx,
        Quantity::NvlinkRx,
        Quantity::Fan,
        Quantity::EccCorrected,
        Quantity::EccUncorrected,
        Quantity::RetiredPages,
        Quantity::RemappedRows,
    ];

    /// Those that NVIDIA's performance monitoring tells: ratios between two samples, on Hopper and later.
    pub const MONITORED: [Quantity; 5] = [
        Quantity::GraphicsActive,
        Quantity::SmActive,
        Quantity::SmOccupancy,
        Quantity::TensorActive,
        Quantity::DramActive,
    ];

    /// As `/status` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Utilization => "utilization",
            Quantity::MemoryBusy => "memory_busy",
            Quantity::MemoryUsed => "memory_used",
            Quantity::MemoryTotal => "memory_total",
            Quantity::MemoryFree => "memory_free",
            Quantity::Encoder => "encoder",
            Quantity::Decoder => "decoder",
            Quantity::GraphicsActive => "graphics_active",
            Quantity::SmActive => "sm_active",
            Quantity::SmOccupancy => "sm_occupancy",
            Quantity::TensorActive => "tensor_active",
            Quantity::DramActive => "dram_active",
            Quantity::Temperature => "temperature",
            Quantity::MemoryTemperature => "memory_temperature",
            Quantity::Power => "power",
            Quantity::PowerLimit => "power_limit",
            Quantity::Energy => "energy",
            Quantity::SmClock => "sm_clock",
            Quantity::MemoryClock => "memory_clock",
            Quantity::PcieTx => "pcie_tx",
            Quantity::PcieRx => "pcie_rx",
            Quantity::NvlinkTx => "nvlink_tx",
            Quantity::NvlinkRx => "nvlink_rx",
            Quantity::Fan => "fan",
            Quantity::EccCorrected => "ecc_corrected",
            Quantity::EccUncorrected => "ecc_uncorrected",
            Quantity::RetiredPages => "retired_pages",
            Quantity::RemappedRows => "remapped_rows",
        }
    }
}

/// One reading for each quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings([Reading<f64>; Quantity::ALL.len()]);

impl Default for Readings {
    fn default() -> Readings {
        Readings::all(&Absence::NotYet)
    }
}

impl Readings {
    /// Nothing is known, for this reason.
    #[must_use]
    pub fn all(absence: &Absence) -> Readings {
        Readings(std::array::from_fn(|_| Err(absence.clone())))
    }

    /// What was read.
    pub fn get(&self, quantity: Quantity) -> Reading<f64> {
        self.0.get(quantity as usize).cloned().unwrap_or(Err(Absence::NotYet))
    }

    /// The number, where there is one.
    #[must_use]
    pub fn value(&self, quantity: Quantity) -> Option<f64> {
        self.get(quantity).ok()
    }

    /// Notes what was read.
    pub fn set(&mut self, quantity: Quantity, reading: Reading<f64>) {
        if let Some(place) = self.0.get_mut(quantity as usize) {
            *place = reading;
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Quantity, &Reading<f64>)> {
        Quantity::ALL.into_iter().zip(&self.0)
    }

    /// Names of the quantities of which there is no number, by the reason, as far as that counts.
    #[must_use]
    pub fn absent(&self, counts: impl Fn(&Absence) -> bool) -> BTreeMap<String, Vec<&'static str>> {
        let mut absent: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (quantity, reading) in self.iter() {
            let Some(why) = reading.as_ref().err().filter(|why| counts(why)) else { continue };
            absent.entry(why.to_string()).or_default().push(quantity.name());
        }
        absent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_has_a_place_of_its_own() {
        for (place, quantity) in Quantity::ALL.into_iter().enumerate() {
            assert_eq!(place, quantity as usize, "{}", quantity.name());
        }
        let mut readings = Readings::default();
        readings.set(Quantity::RemappedRows, Ok(3.0));
        assert_eq!(readings.iter().filter(|(_, reading)| reading.is_ok()).count(), 1);
        assert_eq!(readings.value(Quantity::RemappedRows), Some(3.0));
        assert_eq!(readings.get(Quantity::Power), Err(Absence::NotYet));
    }
}
