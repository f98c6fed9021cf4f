//! One card: the files of its folder in /sys, and of its hardware monitor.

use crate::host::gpu::quantity::Quantity;
use crate::host::gpu::view::{Absence, Device, Reading, Vendor};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Hardware monitors' channels that are looked through for a label.
const CHANNELS: u32 = 8;

/// A card as it is known.
#[derive(Debug)]
pub(super) struct Card {
    folder: PathBuf,
    device: PathBuf,
    monitor: Option<PathBuf>,
    /// What is known of it by now.
    pub known: Device,
}

impl Card {
    /// The card of this folder, where it is AMD's or Intel's.
    pub fn find(folder: &Path) -> Option<Card> {
        let device = folder.join("device");
        let vendor = match text(&device.join("vendor")).ok()?.as_str() {
            "0x1002" => Vendor::Amd,
            "0x8086" => Vendor::Intel,
            _ => return None,
        };
        let pci = fs::canonicalize(&device).ok()?.file_name()?.to_string_lossy().into_owned();
        // AMD's tools write it so. Others have no name that outlives a change of slots.
        let uuid = text(&device.join("unique_id")).map_or_else(|_| pci.clone(), |id| format!("GPU-{id}"));
        let known = Device {
            vendor,
            source: "drm",
            index: folder.file_name()?.to_string_lossy().into(),
            uuid: uuid.into(),
            name: name(vendor, &device).into(),
            pci: pci.into(),
            throttle: Err(Absence::Unsupported),
            ..Device::default()
        };
        let mut card = Card { folder: folder.to_owned(), monitor: monitor(&device), device, known };
        for quantity in Quantity::ALL {
            card.known.readings.set(quantity, Err(Absence::Unsupported));
        }
        Some(card)
    }

    /// Whether it is still the card of this folder.
    pub fn is_at(&self, folder: &Path) -> bool {
        let pci = fs::canonicalize(folder.join("device")).ok();
        self.folder == folder && pci.is_some_and(|pci| pci.ends_with(&*self.known.pci))
    }

    /// Utilisation and memory.
    pub fn activity(&mut self) {
        let device = |name: &str| number(&self.device.join(name));
        let (total, used) = (device("mem_info_vram_total"), device("mem_info_vram_used"));
        let free = total.clone().and_then(|total| Ok((total - used.clone()?).max(0.0)));
        let read = [
            (Quantity::Utilization, device("gpu_busy_percent")),
            (Quantity::MemoryBusy, device("mem_busy_percent")),
            (Quantity::MemoryTotal, total),
            (Quantity::MemoryUsed, used),
            (Quantity::MemoryFree, free),
        ];
        self.note(read);
    }

    /// Power, heat, clocks.
    pub fn telemetry(&mut self) {
        let micro = |value: f64| value / 1e6;
        let milli = |value: f64| value / 1e3;
        let power = self.hw("power1_average").or_else(|_| self.hw("power1_input"));
        let limit = self.hw("power1_cap").or_else(|_| self.hw("power1_max"));
        let fan = self.hw("pwm1").and_then(|now| Ok(now / self.hw("pwm1_max")? * 100.0));
        let temperature = match self.known.vendor {
            Vendor::Intel => self.labelled("temp", "input", "pkg"),
            Vendor::Amd | Vendor::Nvidia => self.labelled("temp", "input", "edge"),
        };
        let memory = self.labelled("temp", "input", "mem").or_else(|_| self.labelled("temp", "input", "vram"));
        let read = [
            (Quantity::Power, power.map(micro)),
            (Quantity::PowerLimit, limit.map(micro)),
            (Quantity::Energy, self.hw("energy1_input").map(micro)),
            (Quantity::Temperature, temperature.or_else(|_| self.hw("temp1_input")).map(milli)),
            (Quantity::MemoryTemperature, memory.map(milli)),
            (Quantity::SmClock, self.clock()),
            (Quantity::MemoryClock, self.labelled("freq", "input", "mclk")),
            (Quantity::Fan, fan),
        ];
        self.note(read);
    }

    /// Errors of the memory, where the driver keeps them.
    pub fn errors(&mut self) {
        let counts = text(&self.device.join("ras/umc_err_count"));
        let count = |name: &str| {
            let counts = counts.as_ref().map_err(absence)?;
            let value = counts.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
            value.ok_or(Absence::Unsupported)
        };
        let (corrected, uncorrected) = (count("ce"), count("ue"));
        self.note([(Quantity::EccCorrected, corrected), (Quantity::EccUncorrected, uncorrected)]);
    }

    /// AMD's monitor tells it in hertz, Intel's drivers in megahertz beside the card.
    fn clock(&self) -> Reading<f64> {
        let mega = |path: &str| number(&self.folder.join(path)).map(|megahertz| megahertz * 1e6);
        let monitored = self.labelled("freq", "input", "sclk");
        monitored.or_else(|_| mega("gt_act_freq_mhz")).or_else(|_| mega("device/tile0/gt0/freq0/act_freq"))
    }

    fn hw(&self, name: &str) -> Reading<f64> {
        number(&self.monitor.as_ref().ok_or(Absence::Unsupported)?.join(name))
    }

    /// The channel of this kind that has this label.
    fn labelled(&self, kind: &str, what: &str, label: &str) -> Reading<f64> {
        let monitor = self.monitor.as_ref().ok_or(Absence::Unsupported)?;
        let is_it = |channel: &u32| text(&monitor.join(format!("{kind}{channel}_label"))).is_ok_and(|own| own == label);
        let channel = (1..=CHANNELS).find(is_it).ok_or(Absence::Unsupported)?;
        number(&monitor.join(format!("{kind}{channel}_{what}")))
    }

    fn note<const N: usize>(&mut self, read: [(Quantity, Reading<f64>); N]) {
        for (quantity, reading) in read {
            self.known.readings.set(quantity, reading);
        }
    }
}

fn name(vendor: Vendor, device: &Path) -> String {
    let product = text(&device.join("product_name")).unwrap_or_default();
    if !product.is_empty() {
        return product;
    }
    format!("{} {}", vendor.name(), text(&device.join("device")).unwrap_or_default())
}

/// The first: a card has one.
fn monitor(device: &Path) -> Option<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(device.join("hwmon")).ok()?.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders.into_iter().next()
}

fn text(path: &Path) -> io::Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

fn number(path: &Path) -> Reading<f64> {
    let text = text(path).map_err(|error| absence(&error))?;
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or(Absence::Failed("it is no number".into()))
}

fn absence(error: &io::Error) -> Absence {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::Unsupported => Absence::Unsupported,
        io::ErrorKind::PermissionDenied => Absence::Denied,
        _ if error.raw_os_error() == Some(libc::ENODEV) => Absence::Lost,
        _ => Absence::Failed(error.to_string().into()),
    }
}
