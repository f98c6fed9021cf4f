//! A tree of /sys and /proc as the kernel's drivers make it, written by hand after their documentation.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::event::Tgid;
use crate::host::gpu::Quantity;
use crate::host::gpu::view::{Absence, Vendor};
use std::os::unix::fs::symlink;
use std::time::Duration;

const S: u64 = 1_000_000_000;

/// A folder with its /sys and /proc, removed when dropped.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Tree {
        let root = std::env::temp_dir().join(format!("inferscope-drm-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("sys/class/drm")).unwrap();
        fs::create_dir_all(root.join("proc")).unwrap();
        Tree(root)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A card whose device is at this place on the bus, with these files.
    fn card(&self, number: u32, pci: &str, files: &[(&str, &str)]) {
        for (name, text) in files {
            self.write(&format!("sys/devices/{pci}/{name}"), &format!("{text}\n"));
        }
        let card = self.0.join(format!("sys/class/drm/card{number}"));
        fs::create_dir_all(&card).unwrap();
        symlink(self.0.join(format!("sys/devices/{pci}")), card.join("device")).unwrap();
        fs::create_dir_all(self.0.join(format!("sys/class/drm/card{number}-DP-1"))).unwrap();
    }

    fn client(&self, pid: u32, fd: u32, text: &str) {
        let folder = self.0.join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).unwrap();
        let _ = symlink("/dev/dri/renderD128", folder.join(fd.to_string()));
        self.write(&format!("proc/{pid}/fdinfo/{fd}"), text);
    }

    fn drm(&self) -> Drm {
        let second = Duration::from_secs(1);
        let intervals = Intervals { activity: second, telemetry: second, errors: second, inventory: 30 * second };
        Drm::new(&self.0.join("sys"), &self.0.join("proc"), intervals)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn instinct(tree: &Tree) {
    let files = [
        ("vendor", "0x1002"),
        ("device", "0x74a1"),
        ("unique_id", "43b2e2ab6b8b1c5d"),
        ("product_name", "AMD Instinct MI300X"),
        ("gpu_busy_percent", "73"),
        ("mem_busy_percent", "21"),
        ("mem_info_vram_total", "206141652992"),
        ("mem_info_vram_used", "1073741824"),
        ("hwmon/hwmon4/power1_input", "412000000"),
        ("hwmon/hwmon4/power1_cap", "750000000"),
        ("hwmon/hwmon4/temp2_label", "junction"),
        ("hwmon/hwmon4/temp2_input", "51000"),
        ("hwmon/hwmon4/temp1_label", "edge"),
        ("hwmon/hwmon4/temp1_input", "47000"),
        ("hwmon/hwmon4/temp3_label", "mem"),
        ("hwmon/hwmon4/temp3_input", "39000"),
        ("hwmon/hwmon4/freq1_label", "sclk"),
        ("hwmon/hwmon4/freq1_input", "2100000000"),
        ("hwmon/hwmon4/freq2_label", "mclk"),
        ("hwmon/hwmon4/freq2_input", "1300000000"),
        ("hwmon/hwmon4/pwm1", "51"),
        ("hwmon/hwmon4/pwm1_max", "255"),
        ("ras/umc_err_count", "ue: 0\nce: 3"),
    ];
    tree.card(1, "0000:03:00.0", &files);
}

#[test]
fn an_amd_card() {
    let tree = Tree::new("amd");
    instinct(&tree);
    tree.card(0, "0000:1b:00.0", &[("vendor", "0x10de")]);
    let mut drm = tree.drm();
    drm.turn(Nanos(S));
    let devices: Vec<&Device> = drm.devices().collect();
    assert_eq!(devices.len(), 1, "NVIDIA's are read elsewhere");
    let Device { vendor, index, uuid, name, pci, readings, .. } = devices[0];
    assert_eq!((*vendor, &**index, &**uuid), (Vendor::Amd, "card1", "GPU-43b2e2ab6b8b1c5d"));
    assert_eq!((&**name, &**pci), ("AMD Instinct MI300X", "0000:03:00.0"));
    for (quantity, expected) in [
        (Quantity::Utilization, 73.0),
        (Quantity::MemoryBusy, 21.0),
        (Quantity::MemoryTotal, 206_141_652_992.0),
        (Quantity::MemoryUsed, 1_073_741_824.0),
        (Quantity::MemoryFree, 205_067_911_168.0),
        (Quantity::Power, 412.0),
        (Quantity::PowerLimit, 750.0),
        (Quantity::Temperature, 47.0),
        (Quantity::MemoryTemperature, 39.0),
        (Quantity::SmClock, 2.1e9),
        (Quantity::MemoryClock, 1.3e9),
        (Quantity::Fan, 20.0),
        (Quantity::EccCorrected, 3.0),
        (Quantity::EccUncorrected, 0.0),
    ] {
        assert_eq!(readings.get(quantity), Ok(expected), "{}", quantity.name());
    }
    let known = readings.iter().filter(|(_, reading)| reading.is_ok()).count();
    assert_eq!(known, 14);
    assert_eq!(readings.get(Quantity::Energy), Err(Absence::Unsupported));
}

#[test]
fn an_intel_card() {
    let tree = Tree::new("intel");
    let files = [
        ("vendor", "0x8086"),
        ("device", "0xe20b"),
        ("hwmon/hwmon2/energy1_input", "12500000"),
        ("hwmon/hwmon2/power1_cap", "190000000"),
        ("hwmon/hwmon2/temp2_label", "pkg"),
        ("hwmon/hwmon2/temp2_input", "52000"),
        ("tile0/gt0/freq0/act_freq", "2850"),
    ];
    tree.card(0, "0000:04:00.0", &files);
    let mut drm = tree.drm();
    drm.turn(Nanos(S));
    let device = drm.devices().next().unwrap();
    assert_eq!((&*device.uuid, &*device.name), ("0000:04:00.0", "intel 0xe20b"));
    let get = |quantity| device.readings.value(quantity);
    assert_eq!(get(Quantity::Energy), Some(12.5));
    assert_eq!(get(Quantity::PowerLimit), Some(190.0));
    assert_eq!(get(Quantity::Temperature), Some(52.0));
    assert_eq!(get(Quantity::SmClock), Some(2.85e9));
    assert_eq!((get(Quantity::Utilization), get(Quantity::MemoryUsed)), (None, None));
}

fn client(id: u32, kib: u64, compute: u64) -> String {
    format!(
        "pos:\t0\nflags:\t02100002\ndrm-driver:\tamdgpu\ndrm-client-id:\t{id}\ndrm-pdev:\t0000:03:00.0\n\
         pasid:\t32771\ndrm-memory-vram:\t{kib} KiB\ndrm-memory-gtt:\t 2048 KiB\ndrm-engine-gfx:\t0 ns\n\
         drm-engine-compute:\t{compute} ns\ndrm-engine-dec:\t99000000000 ns\n"
    )
}

#[test]
fn processes_are_the_clients_of_a_card() {
    let tree = Tree::new("clients");
    instinct(&tree);
    tree.client(4_194_400, 5, &client(7, 1024, S));
    tree.client(4_194_400, 6, &client(8, 512, 0));
    // Inherited: the same client.
    tree.client(4_194_401, 5, &client(7, 1024, S));
    tree.client(4_194_402, 3, "pos:\t0\n");
    let mut drm = tree.drm();
    drm.turn(Nanos(S));
    let processes = |drm: &Drm| drm.devices().next().unwrap().processes.clone().unwrap();
    let found = processes(&drm);
    assert_eq!(found.iter().map(|process| process.tgid).collect::<Vec<_>>(), [Tgid(4_194_400)]);
    assert_eq!((&found[0].memory, &found[0].sm), (&Ok(1536 * 1024), &Err(Absence::NotYet)));
    tree.client(4_194_400, 5, &client(7, 1024, S + S / 2));
    tree.client(4_194_400, 6, &client(8, 512, S / 4));
    drm.turn(Nanos(3 * S));
    assert_eq!(processes(&drm)[0].sm, Ok(37.5), "0.75 s of 2 s");
    fs::remove_dir_all(tree.0.join("proc/4194400")).unwrap();
    drm.turn(Nanos(4 * S));
    assert_eq!(processes(&drm)[0].tgid, Tgid(4_194_401));
}

#[test]
fn a_card_comes_and_goes() {
    let tree = Tree::new("hot-plug");
    let mut drm = tree.drm();
    drm.turn(Nanos(S));
    assert!(matches!(drm.source().state, SourceState::Absent(_)));
    assert_eq!(drm.next_due(), Nanos(31 * S), "nothing is read meanwhile");
    instinct(&tree);
    drm.turn(Nanos(31 * S));
    assert_eq!((drm.devices().count(), drm.next_due()), (1, Nanos(32 * S)));
    fs::remove_dir_all(tree.0.join("sys/class/drm/card1")).unwrap();
    drm.turn(Nanos(61 * S));
    assert_eq!(drm.devices().count(), 0);
}
