//! GPUs, and the processes on them.

use super::{Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const GPU: &[&Metric] = &[
    &GPU_INFO,
    &GPU_UTILIZATION,
    &GPU_MEMORY_USED,
    &GPU_MEMORY_TOTAL,
    &GPU_MEMORY_FREE,
    &GPU_MEMORY_UTILIZATION,
    &GPU_MEMORY_BUSY,
    &GPU_TEMPERATURE,
    &GPU_MEMORY_TEMPERATURE,
    &GPU_POWER,
    &GPU_POWER_LIMIT,
    &GPU_ENERGY,
    &GPU_SM_CLOCK,
    &GPU_MEMORY_CLOCK,
    &GPU_PCIE_TX,
    &GPU_PCIE_RX,
    &GPU_NVLINK_TX,
    &GPU_NVLINK_RX,
    &GPU_ENCODER,
    &GPU_DECODER,
    &GPU_FAN,
    &GPU_THROTTLE,
    &GPU_XID_ERRORS,
    &GPU_ECC_ERRORS,
    &GPU_RETIRED_PAGES,
    &GPU_REMAPPED_ROWS,
    &GPU_GRAPHICS_ACTIVE,
    &GPU_SM_ACTIVE,
    &GPU_SM_OCCUPANCY,
    &GPU_TENSOR_ACTIVE,
    &GPU_DRAM_ACTIVE,
    &GPU_PROCESS_MEMORY,
    &GPU_PROCESS_SM,
    &ENERGY,
    &REQUESTS_IMPAIRED,
];

/// What every metric of a device or a MIG instance carries; the last four are empty on a device.
const DEVICE: &[&str] = &["device", "name", "uuid", "vendor", "mig_device", "mig_profile", "gi", "ci"];

/// gpu_info
pub const GPU_INFO: Metric = Metric {
    name: "gpu_info",
    otlp: "inferscope.gpu",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &[
        "device",
        "name",
        "uuid",
        "vendor",
        "mig_device",
        "mig_profile",
        "gi",
        "ci",
        "pci_bus_id",
        "driver_version",
    ],
    help: "Always 1; which devices there are, where on the bus, and the driver's version",
};

/// gpu_utilization_percent
pub const GPU_UTILIZATION: Metric = Metric {
    name: "gpu_utilization_percent",
    otlp: "hw.gpu.utilization",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "Share of the last second or so in which anything ran on the device, however little of it was used; \
           absent on a device that is cut into MIG instances",
};

/// gpu_memory_used_bytes
pub const GPU_MEMORY_USED: Metric = Metric {
    name: "gpu_memory_used_bytes",
    otlp: "hw.gpu.memory.usage",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: DEVICE,
    help: "Device memory that is allocated, without what the driver reserves for itself. A device with MIG \
           instances has one series for itself (mig_device=\"\") and one for each of them",
};

/// gpu_memory_total_bytes
pub const GPU_MEMORY_TOTAL: Metric = Metric {
    name: "gpu_memory_total_bytes",
    otlp: "hw.gpu.memory.limit",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: DEVICE,
    help: "Device memory that there is",
};

/// gpu_memory_free_bytes
pub const GPU_MEMORY_FREE: Metric = Metric {
    name: "gpu_memory_free_bytes",
    otlp: "inferscope.gpu.memory.free",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: DEVICE,
    help: "Device memory that can be allocated: what is neither used nor reserved",
};

/// gpu_memory_utilization_percent
pub const GPU_MEMORY_UTILIZATION: Metric = Metric {
    name: "gpu_memory_utilization_percent",
    otlp: "hw.gpu.memory.utilization",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "Device memory that is allocated, of all there is",
};

/// gpu_memory_busy_percent
pub const GPU_MEMORY_BUSY: Metric = Metric {
    name: "gpu_memory_busy_percent",
    otlp: "inferscope.gpu.memory.busy",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "Share of the last second or so in which device memory was read or written (nvidia-smi's \
           utilization.memory)",
};

/// gpu_temperature_celsius
pub const GPU_TEMPERATURE: Metric = Metric {
    name: "gpu_temperature_celsius",
    otlp: "hw.temperature",
    kind: Kind::Gauge,
    unit: Unit::Celsius,
    labels: DEVICE,
    help: "Temperature of the die",
};

/// gpu_memory_temperature_celsius
pub const GPU_MEMORY_TEMPERATURE: Metric = Metric {
    name: "gpu_memory_temperature_celsius",
    otlp: "inferscope.gpu.memory.temperature",
    kind: Kind::Gauge,
    unit: Unit::Celsius,
    labels: DEVICE,
    help: "Temperature of the device memory",
};

/// gpu_power_usage_watts
pub const GPU_POWER: Metric = Metric {
    name: "gpu_power_usage_watts",
    otlp: "hw.power",
    kind: Kind::Gauge,
    unit: Unit::Watts,
    labels: DEVICE,
    help: "Power drawn by the whole board",
};

/// gpu_power_limit_watts
pub const GPU_POWER_LIMIT: Metric = Metric {
    name: "gpu_power_limit_watts",
    otlp: "inferscope.gpu.power.limit",
    kind: Kind::Gauge,
    unit: Unit::Watts,
    labels: DEVICE,
    help: "Power that the board may draw, as it is enforced",
};

/// gpu_energy_joules_total
pub const GPU_ENERGY: Metric = Metric {
    name: "gpu_energy_joules_total",
    otlp: "hw.energy",
    kind: Kind::Counter,
    unit: Unit::Joules,
    labels: DEVICE,
    help: "Energy used since the driver was loaded",
};

/// gpu_sm_clock_hz
pub const GPU_SM_CLOCK: Metric = Metric {
    name: "gpu_sm_clock_hz",
    otlp: "inferscope.gpu.sm.clock",
    kind: Kind::Gauge,
    unit: Unit::Hertz,
    labels: DEVICE,
    help: "Clock of the multiprocessors",
};

/// gpu_memory_clock_hz
pub const GPU_MEMORY_CLOCK: Metric = Metric {
    name: "gpu_memory_clock_hz",
    otlp: "inferscope.gpu.memory.clock",
    kind: Kind::Gauge,
    unit: Unit::Hertz,
    labels: DEVICE,
    help: "Clock of the device memory",
};

/// gpu_pcie_tx_bytes_per_second
pub const GPU_PCIE_TX: Metric = Metric {
    name: "gpu_pcie_tx_bytes_per_second",
    otlp: "inferscope.gpu.pcie.transmit",
    kind: Kind::Gauge,
    unit: Unit::BytesPerSecond,
    labels: DEVICE,
    help: "Sent over PCIe, measured over 20 ms: a glance, not a mean",
};

/// gpu_pcie_rx_bytes_per_second
pub const GPU_PCIE_RX: Metric = Metric {
    name: "gpu_pcie_rx_bytes_per_second",
    otlp: "inferscope.gpu.pcie.receive",
    kind: Kind::Gauge,
    unit: Unit::BytesPerSecond,
    labels: DEVICE,
    help: "Received over PCIe, measured over 20 ms: a glance, not a mean",
};

/// gpu_nvlink_tx_bytes_total
pub const GPU_NVLINK_TX: Metric = Metric {
    name: "gpu_nvlink_tx_bytes_total",
    otlp: "hw.gpu.io",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    labels: DEVICE,
    help: "Data sent over all NVLinks since the driver was loaded",
};

/// gpu_nvlink_rx_bytes_total
pub const GPU_NVLINK_RX: Metric = Metric {
    name: "gpu_nvlink_rx_bytes_total",
    otlp: "hw.gpu.io",
    kind: Kind::Counter,
    unit: Unit::Bytes,
    labels: DEVICE,
    help: "Data received over all NVLinks since the driver was loaded",
};

/// gpu_encoder_utilization_percent
pub const GPU_ENCODER: Metric = Metric {
    name: "gpu_encoder_utilization_percent",
    otlp: "inferscope.gpu.encoder.utilization",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "How busy the video encoder was",
};

/// gpu_decoder_utilization_percent
pub const GPU_DECODER: Metric = Metric {
    name: "gpu_decoder_utilization_percent",
    otlp: "inferscope.gpu.decoder.utilization",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "How busy the video decoder was",
};

/// gpu_fan_speed_percent
pub const GPU_FAN: Metric = Metric {
    name: "gpu_fan_speed_percent",
    otlp: "inferscope.gpu.fan.speed",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: DEVICE,
    help: "Speed of the fastest fan, of what it can; absent where the device has none",
};

/// gpu_throttle_reason
pub const GPU_THROTTLE: Metric = Metric {
    name: "gpu_throttle_reason",
    otlp: "inferscope.gpu.throttle",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["device", "name", "uuid", "vendor", "mig_device", "mig_profile", "gi", "ci", "reason"],
    help: "Whether clocks are held down for this reason: 1 or 0",
};

/// gpu_xid_errors_total
pub const GPU_XID_ERRORS: Metric = Metric {
    name: "gpu_xid_errors_total",
    otlp: "hw.errors",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["device", "name", "uuid", "vendor", "mig_device", "mig_profile", "gi", "ci", "xid"],
    help: "Errors that NVIDIA's driver reported since the agent runs, by their number",
};

/// gpu_ecc_errors_total
pub const GPU_ECC_ERRORS: Metric = Metric {
    name: "gpu_ecc_errors_total",
    otlp: "hw.errors",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["device", "name", "uuid", "vendor", "mig_device", "mig_profile", "gi", "ci", "type"],
    help: "Memory errors since the driver was loaded",
};

/// gpu_retired_pages_total
pub const GPU_RETIRED_PAGES: Metric = Metric {
    name: "gpu_retired_pages_total",
    otlp: "inferscope.gpu.memory.retired_pages",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: DEVICE,
    help: "Pages of device memory taken out of use, ever (before Ampere)",
};

/// gpu_remapped_rows_total
pub const GPU_REMAPPED_ROWS: Metric = Metric {
    name: "gpu_remapped_rows_total",
    otlp: "inferscope.gpu.memory.remapped_rows",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: DEVICE,
    help: "Rows of device memory replaced by spare ones, ever (Ampere and later)",
};

/// gpu_graphics_active_ratio
pub const GPU_GRAPHICS_ACTIVE: Metric = Metric {
    name: "gpu_graphics_active_ratio",
    otlp: "inferscope.gpu.graphics.active",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: DEVICE,
    help: "Share of the time in which the graphics or compute engine was active, since the reading before (Hopper \
           and later)",
};

/// gpu_sm_active_ratio
pub const GPU_SM_ACTIVE: Metric = Metric {
    name: "gpu_sm_active_ratio",
    otlp: "inferscope.gpu.sm.active",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: DEVICE,
    help: "Multiprocessors that were busy, since the reading before (Hopper and later, also per MIG instance)",
};

/// gpu_sm_occupancy_ratio
pub const GPU_SM_OCCUPANCY: Metric = Metric {
    name: "gpu_sm_occupancy_ratio",
    otlp: "inferscope.gpu.sm.occupancy",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: DEVICE,
    help: "Warps that were resident, of those that could have been (Hopper and later, also per MIG instance)",
};

/// gpu_tensor_active_ratio
pub const GPU_TENSOR_ACTIVE: Metric = Metric {
    name: "gpu_tensor_active_ratio",
    otlp: "inferscope.gpu.tensor.active",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: DEVICE,
    help: "Share of the time in which tensor cores were active (Hopper and later, also per MIG instance)",
};

/// gpu_dram_active_ratio
pub const GPU_DRAM_ACTIVE: Metric = Metric {
    name: "gpu_dram_active_ratio",
    otlp: "inferscope.gpu.dram.active",
    kind: Kind::Gauge,
    unit: Unit::Ratio,
    labels: DEVICE,
    help: "Bandwidth of the device memory that was used (Hopper and later, also per MIG instance)",
};

/// gpu_process_memory_bytes
pub const GPU_PROCESS_MEMORY: Metric = Metric {
    name: "gpu_process_memory_bytes",
    otlp: "inferscope.gpu.process.memory",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &["uuid", "mig_device", "engine", "model", "service"],
    help: "Device memory that the processes of a server hold, by device or MIG instance. Processes that belong to \
           no server have no engine, model or service, and are one series. With gpu.process_ids one series for each \
           process, with the label pid",
};

/// gpu_process_sm_utilization_percent
pub const GPU_PROCESS_SM: Metric = Metric {
    name: "gpu_process_sm_utilization_percent",
    otlp: "inferscope.gpu.process.sm.utilization",
    kind: Kind::Gauge,
    unit: Unit::Percent,
    labels: &["uuid", "mig_device", "engine", "model", "service", "attribution"],
    help: "Share of the device's multiprocessors that a server had. attribution=\"sampled\": as the driver sampled it for each \
           process. \"exclusive\": the activity of a MIG instance, or of a device without samples, on which only this \
           server runs. Absent where several share what is not sampled",
};

/// llm_energy_joules_total
pub const ENERGY: Metric = Metric {
    name: "llm_energy_joules_total",
    otlp: "inferscope.llm.energy",
    kind: Kind::Counter,
    unit: Unit::Joules,
    labels: &["engine", "model", "service", "attribution"],
    help: "Energy of whole devices (gpu_energy_joules_total) that a server used, whatever it serves. \
           attribution=\"exclusive\": it was alone on the device, idle time included. \"sampled\": by its share of all \
           processes' samples. What several shared without samples is nobody's, MIG instances' too unless one server has \
           them all",
};

/// llm_requests_impaired_total
pub const REQUESTS_IMPAIRED: Metric = Metric {
    name: "llm_requests_impaired_total",
    otlp: "inferscope.llm.requests.impaired",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "condition"],
    help: "Finished requests during which a GPU of their server was slowed down for want of power (condition=\"power\") or \
           by heat (\"thermal\"), or its driver reported an error (\"xid\")",
};
