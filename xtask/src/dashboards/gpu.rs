//! GPUs: every device, every MIG instance, and who is on it.

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{max, or_zero, rate, sum};

/// A device or an instance, as legends name it.
const PLACE: &str = "instance, device, mig_device, mig_profile";
const NAME: &str = "{{instance}} {{device}} {{mig_profile}}";

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "gpu",
        title: "GPU",
        purpose: "Are the GPUs used, by whom, and is anything wrong with them? Devices and MIG instances, and \
                 the servers on them.",
        variables: Variable::of("gpu_info", &["cluster", "instance", "name", "uuid"]),
        rows: vec![glance(), activity(), memory(), servers(), power(), links(), errors()],
    }
}

fn glance() -> Row {
    Row::of(
        "At a glance",
        vec![
            Panel::figure(
                "Devices",
                Unit::Count,
                "GPUs that the chosen hosts' drivers show. One less than yesterday fell off its bus.",
            )
            .query(r#"count(gpu_info{@,mig_device=""})"#, ""),
            Panel::figure(
                "Utilisation",
                Unit::Percent,
                "The mean of all devices: time in which anything ran, however little of the device it used. \
                 \"SM active\" below says how much.",
            )
            .query("avg(gpu_utilization_percent{@})", ""),
            Panel::figure(
                "Memory",
                Unit::Ratio,
                "Of all devices together. vLLM takes its share (gpu_memory_utilization) at its start, so this \
                 says little of its load.",
            )
            .query(&of_devices("gpu_memory_used_bytes", "gpu_memory_total_bytes"), ""),
            Panel::figure("Power", Unit::Watts, "What all boards draw together.")
                .query(&sum("gpu_power_usage_watts", ""), ""),
            Panel::figure(
                "Hottest",
                Unit::Celsius,
                "The hottest die. From about 85 °C on most data-centre cards lower their clocks.",
            )
            .query(&max("gpu_temperature_celsius", ""), "")
            .above(80.0, 88.0),
            Panel::figure("Held back", Unit::Count, "Devices whose clocks are lowered by power or heat now.")
                .query(
                    &or_zero(
                        r#"count(sum by (uuid) (gpu_throttle_reason{@,reason=~"sw_.*|hw_.*"}) > 0)"#,
                        "gpu_info",
                        "",
                    ),
                    "",
                )
                .above(1.0, 4.0),
            Panel::figure("XID errors", Unit::Count, "Errors that NVIDIA's driver reported since the agents run.")
                .query(&or_zero(&sum("gpu_xid_errors_total", ""), "gpu_info", ""), "")
                .above(1.0, 1.0),
            Panel::figure(
                "ECC errors",
                Unit::Count,
                "Uncorrected memory errors since the drivers were loaded: whoever read them got a wrong \
                 answer or was ended.",
            )
            .query(&sum(r#"gpu_ecc_errors_total{@,type="uncorrected"}"#, ""), "")
            .above(1.0, 1.0),
            Panel::table(
                "What there is",
                Unit::Labels,
                "Devices and MIG instances, their driver, and where on the bus they are.",
            )
            .query("gpu_info{@}", "one"),
        ],
    )
}

/// The share of the devices' sums; MIG instances are parts of them.
fn of_devices(part: &str, whole: &str) -> String {
    let devices = |metric: &str| sum(&format!("{metric}{{@,mig_device=\"\"}}"), "");
    format!("{} / {}", devices(part), devices(whole))
}

fn activity() -> Row {
    Row::of(
        "Activity",
        vec![
            Panel::lines(
                "Utilisation",
                Unit::Percent,
                "Time in which anything ran on the device. 100 % is reached by one small kernel after \
                 another: it does not mean that the device is full.",
            )
            .query(&max("gpu_utilization_percent", PLACE), NAME),
            Panel::lines(
                "SM active",
                Unit::Ratio,
                "Multiprocessors that were busy (Hopper and later, also per MIG instance): the honest \
                 utilisation. Decoding with small batches leaves it low.",
            )
            .query(&max("gpu_sm_active_ratio", PLACE), NAME),
            Panel::lines("Occupancy", Unit::Ratio, "Warps that were resident, of those that could have been.")
                .query(&max("gpu_sm_occupancy_ratio", PLACE), NAME),
            Panel::lines(
                "Tensor cores",
                Unit::Ratio,
                "Time in which tensor cores were active. Prefill uses them, decoding hardly does.",
            )
            .query(&max("gpu_tensor_active_ratio", PLACE), NAME),
            Panel::lines(
                "Memory bandwidth",
                Unit::Ratio,
                "Used bandwidth of the device memory. It limits decoding: near 1 a larger batch is the only \
                 way to more tokens.",
            )
            .query(&max("gpu_dram_active_ratio", PLACE), NAME),
            Panel::lines(
                "Graphics engine",
                Unit::Ratio,
                "Time in which the graphics or compute engine was active, from the same counters as the \
                 panels before.",
            )
            .query(&max("gpu_graphics_active_ratio", PLACE), NAME),
            Panel::lines("Memory busy", Unit::Percent, "Time in which device memory was read or written at all.")
                .query(&max("gpu_memory_busy_percent", PLACE), NAME),
            Panel::lines("Video", Unit::Percent, "Encoder and decoder; of interest where pictures or films are made.")
                .query(&max("gpu_encoder_utilization_percent", PLACE), "{{instance}} {{device}}: encoder")
                .query(&max("gpu_decoder_utilization_percent", PLACE), "{{instance}} {{device}}: decoder"),
        ],
    )
}

fn memory() -> Row {
    Row::of(
        "Memory",
        vec![
            Panel::lines(
                "Used",
                Unit::Percent,
                "Allocated, of all there is; a device, and each MIG instance of it. Servers that allocate as \
                 they go fail when it reaches 100 %.",
            )
            .query(&max("gpu_memory_utilization_percent", PLACE), NAME)
            .above(90.0, 98.0),
            Panel::lines("Used", Unit::Bytes, "The same in bytes.").query(&max("gpu_memory_used_bytes", PLACE), NAME),
            Panel::lines(
                "Free",
                Unit::Bytes,
                "What can still be allocated; what the driver reserves is neither free nor used.",
            )
            .query(&max("gpu_memory_free_bytes", PLACE), NAME),
        ],
    )
}

/// Which device a server is on is told by its UUID, whose host and name `gpu_info` knows.
fn on_these(expression: &str) -> String {
    format!("{expression} and on (uuid) gpu_info{{@}}")
}

fn servers() -> Row {
    let of = |metric: &str| on_these(&format!("sum by (uuid, mig_device, engine, model, service) ({metric})"));
    Row::of(
        "Servers on the devices",
        vec![
            Panel::stack(
                "Memory by server",
                Unit::Bytes,
                "Who holds device memory. Without a name: processes that are no known server, and that \
                 perhaps nobody misses.",
            )
            .query(&of("gpu_process_memory_bytes"), "{{service}} {{model}}")
            .wide(12),
            Panel::stack(
                "Multiprocessors by server",
                Unit::Percent,
                "As the driver samples it for each process, or what a MIG instance did that has one tenant. \
                 Absent where several share what is not sampled: no share is guessed.",
            )
            .query(&of("gpu_process_sm_utilization_percent"), "{{service}} {{model}}")
            .wide(12),
        ],
    )
}

fn power() -> Row {
    Row::of(
        "Power, heat, clocks",
        vec![
            Panel::lines(
                "Power",
                Unit::Watts,
                "Each board, and what it may draw (dashed by name). At the limit clocks go down.",
            )
            .query(&max("gpu_power_usage_watts", PLACE), NAME)
            .query(&max("gpu_power_limit_watts", PLACE), "{{instance}} {{device}}: limit"),
            Panel::lines(
                "Energy",
                Unit::Watts,
                "The energy counter's rate: the mean power without gaps between samples.",
            )
            .query(&rate("gpu_energy_joules_total", PLACE), NAME),
            Panel::lines("Temperature", Unit::Celsius, "Of the die, and of the memory where it has a sensor.")
                .query(&max("gpu_temperature_celsius", PLACE), NAME)
                .query(&max("gpu_memory_temperature_celsius", PLACE), "{{instance}} {{device}}: memory")
                .above(80.0, 88.0),
            Panel::lines(
                "Clocks",
                Unit::Hertz,
                "Multiprocessors and memory. A device under load whose clock sinks is held back: see the next \
                 panel.",
            )
            .query(&max("gpu_sm_clock_hz", PLACE), "{{instance}} {{device}}: SM")
            .query(&max("gpu_memory_clock_hz", PLACE), "{{instance}} {{device}}: memory"),
            Panel::stack(
                "Why clocks are held down",
                Unit::Count,
                "Devices by reason. Idle is no trouble; power is a limit that was chosen; heat is the room or \
                 the fans.",
            )
            .query("sum by (reason) (gpu_throttle_reason{@}) > 0", "{{reason}}"),
            Panel::lines("Fans", Unit::Percent, "The fastest of each device; servers' cards have none.")
                .query(&max("gpu_fan_speed_percent", PLACE), NAME)
                .above(80.0, 95.0),
        ],
    )
}

fn links() -> Row {
    Row::of(
        "Links",
        vec![
            Panel::lines(
                "PCIe",
                Unit::BytesPerSecond,
                "A glance of 20 ms at a time, not a mean. Much of it while a model runs: it, or its KV cache, \
                 is moved to and fro.",
            )
            .query(&max("gpu_pcie_tx_bytes_per_second", PLACE), "{{instance}} {{device}}: out")
            .query(&max("gpu_pcie_rx_bytes_per_second", PLACE), "{{instance}} {{device}}: in")
            .wide(12),
            Panel::lines(
                "NVLink",
                Unit::BytesPerSecond,
                "Between devices: tensor parallelism talks here, with every layer of every step.",
            )
            .query(&rate("gpu_nvlink_tx_bytes_total", PLACE), "{{instance}} {{device}}: out")
            .query(&rate("gpu_nvlink_rx_bytes_total", PLACE), "{{instance}} {{device}}: in")
            .wide(12),
        ],
    )
}

fn errors() -> Row {
    Row::of(
        "Errors",
        vec![
            Panel::table(
                "XID errors",
                Unit::Count,
                "By number. 13, 31 and 43 are mostly a program's fault; 48, 63, 64, 94 and 95 the memory's; \
                 74 NVLink's; 79: the device fell off its bus.",
            )
            .query("sum by (instance, device, uuid, name, xid) (gpu_xid_errors_total{@})", "errors")
            .wide(12),
            Panel::lines(
                "Memory errors",
                Unit::PerSecond,
                "Corrected ones cost nothing, but many of them announce the others.",
            )
            .query(&rate("gpu_ecc_errors_total", "instance, device, type"), "{{instance}} {{device}}: {{type}}")
            .wide(6),
            Panel::lines(
                "Memory taken out of use",
                Unit::Count,
                "Pages retired (before Ampere) or rows remapped (since), ever. A device that runs out of \
                 spare rows is to be replaced.",
            )
            .query(&max("gpu_retired_pages_total", "instance, device"), "{{instance}} {{device}}: pages")
            .query(&max("gpu_remapped_rows_total", "instance, device"), "{{instance}} {{device}}: rows")
            .wide(6),
        ],
    )
}
