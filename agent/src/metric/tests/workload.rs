//! Servers of one name in several containers, and the containers that have GPUs.

use super::{MS, chat, config, series};
use crate::config::Config;
use crate::event::{Nanos, Tgid};
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::{Devices, List, OfContainer, OfPod};
use crate::host::gpu::Quantity;
use crate::host::gpu::view::{Device, GpuView, Instance, InstanceId};
use crate::host::metadata::list;
use crate::metric::Metrics;
use crate::request::Record;
use crate::service::{Pod, Service, Workload};
use std::collections::BTreeSet;
use std::sync::Arc;

fn in_pod(name: &str) -> Service {
    let pod = Pod { namespace: "serving".into(), name: name.into(), container: "vllm".into() };
    Service { workload: Some(Arc::new(Workload::Pod(pod))), ..Service::from("s") }
}

/// Servers run in a pod of which all is known but labels, which no catalog has.
pub(super) fn described(metrics: &Metrics) {
    let owner = r#""ownerReferences":[{"kind":"StatefulSet","name":"chat","controller":true}]"#;
    let list = format!(r#"{{"items":[{{"metadata":{{"namespace":"serving","name":"chat-0",{owner}}}}}]}}"#);
    metrics.described(Arc::new(list::read(list.as_bytes(), &[]).unwrap()));
    metrics.pods(&[(Pod { namespace: "serving".into(), name: "chat-0".into(), container: "vllm".into() }, None)]);
}

fn chat_of(service: &Service) -> Record {
    Record { service: service.clone(), ..chat() }
}

#[test]
fn servers_of_one_name_are_told_apart_by_their_pods() {
    let metrics = Metrics::new(&Config::default());
    let outside = Service { workload: Some(Arc::new(Workload::Container("images".into()))), ..Service::from("s") };
    for service in [in_pod("a"), in_pod("b"), outside, Service::from("s")] {
        metrics.server_started("vllm", &service);
        metrics.record(&chat_of(&service));
    }
    let counts = series(&metrics, "llm_request_total");
    let rest = r#"operation="chat",stream="true",status="ok",code="200"} 1"#;
    let expected = [
        String::new(),
        r#"k8s_namespace="serving",k8s_pod="a",k8s_container="vllm","#.to_owned(),
        r#"k8s_namespace="serving",k8s_pod="b",k8s_container="vllm","#.to_owned(),
        r#"container="images","#.to_owned(),
    ]
    .map(|labels| format!(r#"llm_request_total{{engine="vllm",model="m",service="s",{labels}{rest}"#));
    assert_eq!(counts, expected);
}

#[test]
fn series_end_with_the_pod_and_not_with_its_neighbour() {
    let metrics = Metrics::new(&Config::default());
    for pod in ["a", "b"] {
        metrics.server_started("vllm", &in_pod(pod));
        metrics.record(&chat_of(&in_pod(pod)));
    }
    metrics.server_ended("vllm", &in_pod("a"), Nanos(110_000 * MS));
    metrics.tick(Nanos(200_000 * MS));
    let left = series(&metrics, "llm_");
    assert!(!left.is_empty() && left.iter().all(|line| line.contains(r#"k8s_pod="b""#)), "{left:?}");
    // A pod of a stateful set comes back under its name; its counters go on.
    metrics.server_ended("vllm", &in_pod("b"), Nanos(210_000 * MS));
    metrics.server_started("vllm", &in_pod("b"));
    metrics.tick(Nanos(300_000 * MS));
    metrics.record(&chat_of(&in_pod("b")));
    assert!(series(&metrics, "llm_request_total")[0].ends_with(" 2"));
}

fn given(pod: &str, ids: &[&str]) -> OfPod {
    let devices = vec![Devices { resource: "nvidia.com/gpu".into(), ids: ids.iter().map(|id| (*id).into()).collect() }];
    let containers = vec![OfContainer { name: "vllm".into(), devices }];
    OfPod { name: pod.into(), namespace: "serving".into(), containers }
}

fn device(index: &str, instances: Vec<Instance>) -> Device {
    let mut device =
        Device { index: index.into(), uuid: format!("GPU-{index}").into(), instances, ..Device::default() };
    device.readings.set(Quantity::MemoryUsed, Ok(1.0));
    device
}

/// The labels of a family that say whose each of its series is, by the device's own label.
fn holders(metrics: &Metrics, family: &str, device: &str, pod: &str) -> BTreeSet<(String, Option<String>)> {
    let value = |line: &str, label: &str| {
        let (_, rest) = line.split_once(&format!("{label}=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let lines = series(metrics, family);
    lines.iter().map(|line| (value(line, device).unwrap(), value(line, &format!(",{pod}")))).collect()
}

#[test]
fn devices_have_the_pod_that_has_them_alone() {
    let metrics = Metrics::new(&config("gpu: {dcgm_names: true}"));
    let mut mig = Instance {
        uuid: "MIG-7".into(),
        profile: "1g.10gb".into(),
        id: InstanceId { gpu: 7, compute: 0 },
        readings: crate::host::gpu::quantity::Readings::default(),
    };
    mig.readings.set(Quantity::MemoryUsed, Ok(1.0));
    let devices = vec![device("0", vec![]), device("1", vec![]), device("2", vec![mig])];
    let view = GpuView { time: Nanos(1), devices, ..GpuView::default() };
    let own = |metrics: &Metrics| holders(metrics, "gpu_memory_used_bytes", ",uuid", "k8s_pod");
    let known = |device: &str, pod: Option<&str>| (device.to_owned(), pod.map(str::to_owned));
    metrics.gpus(&view, &[]);
    assert_eq!(own(&metrics), ["GPU-0", "GPU-1", "GPU-2"].map(|device| known(device, None)).into());

    let pods =
        vec![given("a", &["GPU-0"]), given("b", &["GPU-1::0"]), given("c", &["GPU-1::1"]), given("d", &["MIG-7"])];
    metrics.allotted(Arc::new(Allotments::of(&List { pods })));
    metrics.gpus(&view, &[]);
    let expected =
        [("GPU-0", Some("a")), ("GPU-1", None), ("GPU-2", None), ("GPU-2", Some("d"))].map(|(d, pod)| known(d, pod));
    assert_eq!(own(&metrics), expected.clone().into(), "of GPU-2 the instance is given, the device is not");
    assert_eq!(holders(&metrics, "DCGM_FI_DEV_FB_USED", "UUID", "pod"), expected.into());

    metrics.allotted(Arc::new(Allotments::of(&List { pods: vec![given("e", &["GPU-0"])] })));
    metrics.gpus(&view, &[]);
    let pods: Vec<_> = own(&metrics).into_iter().filter_map(|(_, pod)| pod).collect();
    assert_eq!(pods, ["e"], "the series of pods that are gone end");
}

#[test]
fn processes_on_devices_have_their_servers_pod() {
    use crate::correlate::{Owner, ServerProcess};
    use crate::host::gpu::view::Process;
    let metrics = Metrics::new(&Config::default());
    let process = |tgid| Process {
        tgid: Tgid(tgid),
        kinds: BTreeSet::new(),
        instance: None,
        memory: Ok(1),
        sm: Ok(1.0),
        comm: "python3".into(),
        ancestors: Arc::new([]),
    };
    let device = Device { processes: Ok(vec![process(1), process(2), process(3)]), ..device("0", vec![]) };
    let view = GpuView { time: Nanos(1), devices: vec![device], ..GpuView::default() };
    let server = |tgid, pod| ServerProcess {
        tgid: Tgid(tgid),
        root: Tgid(tgid),
        owner: Owner { engine: "vllm", service: in_pod(pod) },
        model: "m".into(),
    };
    metrics.gpus(&view, &[server(1, "a"), server(2, "b")]);
    let of = holders(&metrics, "gpu_process_memory_bytes", "service", "k8s_pod");
    let of: Vec<_> = of.iter().map(|(service, pod)| (service.as_str(), pod.as_deref())).collect();
    assert_eq!(of, [("", None), ("s", Some("a")), ("s", Some("b"))]);
}
