//! How spans of a server on a GPU wait for what is known of it.

use super::delivery::spans;
use super::receiver::{Receiver, Security};
use super::*;
use crate::correlate::{self, ServerProcess};
use crate::host::gpu::Quantity;
use crate::host::gpu::view::{Absence, Device, GpuView, Process, Throttle, Xid};
use std::collections::BTreeSet;

const NEVER: Duration = Duration::from_secs(600);

/// An export to `receiver`, and a process of `chat`.
fn scene(receiver: &Receiver) -> (Export, ServerProcess) {
    let url = receiver.url("http");
    let export = export(&config(&format!("{{destinations: [{{endpoint: \"{url}\", metrics: false}}]}}")), NEVER);
    let owner = correlate::Owner { engine: "vllm", service: "chat".into() };
    (export, ServerProcess { tgid: Tgid(7), root: Tgid(7), owner, model: "m".into() })
}

/// One GPU, on which `chat` runs alone, at a look at this second: hot, and 100 W.
fn look(second: u64) -> GpuView {
    let mut device = Device { uuid: "GPU-1".into(), ..Device::default() };
    device.readings.set(Quantity::Energy, Ok(100.0 * second as f64));
    device.throttle = Ok([(Throttle::HardwareThermal, true)].into());
    device.xids = [(79, Xid { count: 1, last: Nanos(15_000 * MS) })].into();
    device.processes = Ok(vec![Process {
        tgid: Tgid(7),
        kinds: BTreeSet::new(),
        instance: None,
        memory: Ok(1),
        sm: Err(Absence::Unsupported),
        comm: "python3".into(),
        ancestors: [].into(),
    }]);
    GpuView { time: Nanos(second * 1_000 * MS), devices: vec![device], ..GpuView::default() }
}

#[test]
fn spans_say_how_the_gpus_fared_meanwhile() {
    let receiver = Receiver::start(Security::Plain);
    let (export, server) = scene(&receiver);
    for second in 8..20 {
        export.metrics.gpus(&look(second), std::slice::from_ref(&server));
    }
    // It runs from 10 to 20.
    export.record(&chat(10_000 * MS));
    export.spans.tick(Nanos(20_500 * MS));
    assert!(receiver.came().is_empty(), "nobody looked at its end yet");
    export.metrics.gpus(&look(21), std::slice::from_ref(&server));
    export.spans.tick(Nanos(21_500 * MS));
    let came = receiver.wait("its spans", |came| came.iter().any(|came| came.spans.is_some()));
    let spans = spans(&came);
    let of = |key| value(&spans[0].attributes, key);
    assert_eq!(of("inferscope.gpu.ids").as_deref(), Some("1 values"));
    assert_eq!(of("inferscope.gpu.conditions").as_deref(), Some("2 values"), "thermal and xid");
    assert_eq!(of("inferscope.gpu.xids").as_deref(), Some("1 values"));
    assert_eq!(of("inferscope.gpu.energy").as_deref(), Some("1000"));
    export.otlp.wait();
}

#[test]
fn what_waits_for_a_look_is_sent_at_the_end() {
    let receiver = Receiver::start(Security::Plain);
    let (export, server) = scene(&receiver);
    export.metrics.gpus(&look(8), &[server]);
    export.record(&chat(10_000 * MS));
    export.spans.finish();
    export.otlp.wait();
    let spans = spans(&receiver.came());
    assert_eq!(value(&spans[0].attributes, "inferscope.gpu.ids").as_deref(), Some("1 values"));
    assert_eq!(value(&spans[0].attributes, "inferscope.gpu.energy"), None);
}
