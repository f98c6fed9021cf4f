//! The names of NVIDIA's DCGM exporter, exported where `gpu.dcgm_names` is set, beside our own.

use super::{Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const DCGM: &[&Metric] = &[
    &DCGM_GPU_UTIL,
    &DCGM_MEM_COPY_UTIL,
    &DCGM_FB_USED,
    &DCGM_FB_FREE,
    &DCGM_FB_TOTAL,
    &DCGM_GPU_TEMP,
    &DCGM_MEMORY_TEMP,
    &DCGM_POWER_USAGE,
    &DCGM_ENERGY,
    &DCGM_SM_CLOCK,
    &DCGM_MEM_CLOCK,
    &DCGM_PCIE_TX,
    &DCGM_PCIE_RX,
    &DCGM_XID_ERRORS,
    &DCGM_ECC_SBE,
    &DCGM_ECC_DBE,
    &DCGM_NVLINK,
    &DCGM_GR_ENGINE_ACTIVE,
    &DCGM_SM_ACTIVE,
    &DCGM_SM_OCCUPANCY,
    &DCGM_PIPE_TENSOR_ACTIVE,
    &DCGM_DRAM_ACTIVE,
];

const ENTITY: &[&str] = &["gpu", "UUID", "device", "modelName", "Hostname", "GPU_I_ID", "GPU_I_PROFILE"];

/// Their OTLP names are those of our own metrics.
const fn alias(name: &'static str, help: &'static str) -> Metric {
    Metric { name, otlp: "", kind: Kind::Gauge, unit: Unit::Count, labels: ENTITY, help }
}

/// DCGM_FI_DEV_GPU_UTIL
pub const DCGM_GPU_UTIL: Metric = alias("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %)");

/// DCGM_FI_DEV_MEM_COPY_UTIL
pub const DCGM_MEM_COPY_UTIL: Metric = alias("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %)");

/// DCGM_FI_DEV_FB_USED
pub const DCGM_FB_USED: Metric = alias("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB)");

/// DCGM_FI_DEV_FB_FREE
pub const DCGM_FB_FREE: Metric = alias("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB)");

/// DCGM_FI_DEV_FB_TOTAL
pub const DCGM_FB_TOTAL: Metric = alias("DCGM_FI_DEV_FB_TOTAL", "Framebuffer memory (in MiB)");

/// DCGM_FI_DEV_GPU_TEMP
pub const DCGM_GPU_TEMP: Metric = alias("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C)");

/// DCGM_FI_DEV_MEMORY_TEMP
pub const DCGM_MEMORY_TEMP: Metric = alias("DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C)");

/// DCGM_FI_DEV_POWER_USAGE
pub const DCGM_POWER_USAGE: Metric = alias("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W)");

/// DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION
pub const DCGM_ENERGY: Metric =
    alias("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the driver was loaded (in mJ)");

/// DCGM_FI_DEV_SM_CLOCK
pub const DCGM_SM_CLOCK: Metric = alias("DCGM_FI_DEV_SM_CLOCK", "SM clock (in MHz)");

/// DCGM_FI_DEV_MEM_CLOCK
pub const DCGM_MEM_CLOCK: Metric = alias("DCGM_FI_DEV_MEM_CLOCK", "Memory clock (in MHz)");

/// DCGM_FI_DEV_PCIE_TX_THROUGHPUT
pub const DCGM_PCIE_TX: Metric = alias("DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "PCIe transmit rate (in KB/s)");

/// DCGM_FI_DEV_PCIE_RX_THROUGHPUT
pub const DCGM_PCIE_RX: Metric = alias("DCGM_FI_DEV_PCIE_RX_THROUGHPUT", "PCIe receive rate (in KB/s)");

/// DCGM_FI_DEV_XID_ERRORS
pub const DCGM_XID_ERRORS: Metric =
    alias("DCGM_FI_DEV_XID_ERRORS", "Number of the last XID error; absent before the first");

/// DCGM_FI_DEV_ECC_SBE_VOL_TOTAL
pub const DCGM_ECC_SBE: Metric =
    alias("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "Corrected memory errors since the driver was loaded");

/// DCGM_FI_DEV_ECC_DBE_VOL_TOTAL
pub const DCGM_ECC_DBE: Metric =
    alias("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Uncorrected memory errors since the driver was loaded");

/// DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL
pub const DCGM_NVLINK: Metric = alias(
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "Data over all NVLinks, both ways, since the driver was loaded (in MiB)",
);

/// DCGM_FI_PROF_GR_ENGINE_ACTIVE
pub const DCGM_GR_ENGINE_ACTIVE: Metric =
    alias("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Ratio of time in which the graphics engine was active");

/// DCGM_FI_PROF_SM_ACTIVE
pub const DCGM_SM_ACTIVE: Metric = alias("DCGM_FI_PROF_SM_ACTIVE", "Ratio of SMs that were busy");

/// DCGM_FI_PROF_SM_OCCUPANCY
pub const DCGM_SM_OCCUPANCY: Metric = alias("DCGM_FI_PROF_SM_OCCUPANCY", "Ratio of warps that were resident");

/// DCGM_FI_PROF_PIPE_TENSOR_ACTIVE
pub const DCGM_PIPE_TENSOR_ACTIVE: Metric =
    alias("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Ratio of time in which tensor cores were active");

/// DCGM_FI_PROF_DRAM_ACTIVE
pub const DCGM_DRAM_ACTIVE: Metric = alias("DCGM_FI_PROF_DRAM_ACTIVE", "Ratio of the memory bandwidth that was used");
