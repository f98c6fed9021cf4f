//! How GPUs are read.

use super::rule::within;
use super::setting::settings;

settings! {
    /// How GPUs are read.
    Gpu {
        /// Whether they are read at all.
        enabled: bool = true;
        /// NVIDIA's management library, where it is not where the system looks for libnvidia-ml.so.1.
        library: String = String::new();
        /// How often utilisation, memory and processes are read, in seconds from 1 to 3600.
        activity_seconds: u32 = 1, must within(1..=3600);
        /// How often power, temperature, clocks, PCIe and NVLink are.
        telemetry_seconds: u32 = 5, must within(1..=3600);
        /// How often error counters are. Errors that the driver reports (XID) are noticed with each reading of activity.
        errors_seconds: u32 = 10, must within(1..=3600);
        /// How often it is looked which devices and MIG instances there are.
        inventory_seconds: u32 = 30, must within(1..=3600);
        /// Whether gpu_process_* have the label pid: one series for each process, instead of one for each server.
        process_ids: bool = false;
        /// Whether the figures are exported under DCGM's names too (DCGM_FI_DEV_*, DCGM_FI_PROF_*), with its units and
        /// labels, for dashboards and rules that were made for its exporter.
        dcgm_names: bool = false;
    }
}
