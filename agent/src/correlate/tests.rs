//! Joins of hand-written views with hand-written servers.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::condition::History;
use super::energy::Energy;
use super::*;
use crate::event::Nanos;
use crate::host::gpu::Quantity;
use crate::host::gpu::view::{Absence, Condition, Instance, Throttle, Xid};

const S: u64 = 1_000_000_000;

fn owner(service: &str) -> Owner {
    Owner { engine: "vllm", service: service.into() }
}

fn server(tgid: u32, root: u32, service: &str, model: &str) -> ServerProcess {
    ServerProcess { tgid: Tgid(tgid), root: Tgid(root), owner: owner(service), model: model.into() }
}

fn process(tgid: u32, ancestors: &[u32], sm: Option<f64>) -> Process {
    Process {
        tgid: Tgid(tgid),
        kinds: BTreeSet::new(),
        instance: None,
        memory: Ok(1),
        sm: sm.ok_or(Absence::Unsupported),
        comm: "python3".into(),
        ancestors: ancestors.iter().copied().map(Tgid).collect(),
    }
}

fn device(uuid: &str, processes: Vec<Process>) -> Device {
    Device { uuid: uuid.into(), processes: Ok(processes), ..Device::default() }
}

fn view(devices: Vec<Device>) -> GpuView {
    GpuView { devices, ..GpuView::default() }
}

/// A front end 10 with an engine 11 and workers 12 and 13.
fn tensor_parallel() -> Vec<ServerProcess> {
    vec![server(11, 10, "derived", ""), server(10, 10, "chat", "m"), server(12, 10, "derived", "")]
}

#[test]
fn work_of_children_is_the_servers() {
    // 13 is a worker that no engine recognised.
    let view =
        view(vec![device("a", vec![process(12, &[11, 10], None)]), device("b", vec![process(13, &[11, 10, 9], None)])]);
    let joined = join(&view, &tensor_parallel());
    let chat = owner("chat");
    assert_eq!(joined.owner(Tgid(12)), Some(&chat));
    assert_eq!(joined.owner(Tgid(13)), Some(&chat));
    let places: Vec<&str> = joined.places()[&chat].iter().map(|place| &**place.uuid()).collect();
    assert_eq!(places, ["a", "b"]);
    assert_eq!(joined.model(&chat).map(|model| &**model), Some("m"));
    assert_eq!(joined.of_device(&view.devices[0]), Tenancy::Exclusive(chat));
}

#[test]
fn a_server_below_another_is_its_own() {
    let servers = [server(10, 10, "outer", "m"), server(20, 20, "inner", "n")];
    let view = view(vec![device("a", vec![process(21, &[20, 10], None)])]);
    assert_eq!(join(&view, &servers).owner(Tgid(21)), Some(&owner("inner")));
}

#[test]
fn ids_of_another_namespace_name_nobody() {
    let view = GpuView { pids: Pids::Foreign, ..view(vec![device("a", vec![process(10, &[], None)])]) };
    let joined = join(&view, &tensor_parallel());
    assert_eq!((joined.owner(Tgid(10)), joined.places().len()), (None, 0));
}

#[test]
fn tenancy_of_a_device() {
    let servers = [server(10, 10, "a", "m"), server(20, 20, "b", "m")];
    let tenancy = |processes: Vec<Process>| {
        let view = view(vec![device("a", processes)]);
        join(&view, &servers).of_device(&view.devices[0])
    };
    assert_eq!(tenancy(vec![]), Tenancy::Vacant);
    let two = |first, second| vec![process(10, &[], first), process(20, &[], second)];
    let sampled = BTreeMap::from([(owner("a"), 60.0), (owner("b"), 20.0)]);
    assert_eq!(tenancy(two(Some(60.0), Some(20.0))), Tenancy::Sampled { servers: sampled, total: 80.0 });
    assert_eq!(tenancy(two(Some(60.0), None)), Tenancy::Shared);
    let stranger = tenancy(vec![process(10, &[], Some(60.0)), process(99, &[], Some(20.0))]);
    let own = BTreeMap::from([(owner("a"), 60.0)]);
    assert_eq!(stranger, Tenancy::Sampled { servers: own, total: 80.0 });
    let mps = Process { comm: "nvidia-cuda-mps".into(), ..process(99, &[], None) };
    assert_eq!(tenancy(vec![process(10, &[], None), mps]), Tenancy::Exclusive(owner("a")));
    let unknown = Device { processes: Err(Absence::Denied), ..Device::default() };
    assert_eq!(Joined::default().of_device(&unknown), Tenancy::Shared);
}

#[test]
fn instances_are_apart() {
    let at = |tgid, gpu| Process { instance: Some(InstanceId { gpu, compute: 0 }), ..process(tgid, &[], None) };
    let instance = |uuid: &str, gpu| {
        let id = InstanceId { gpu, compute: 0 };
        Instance { uuid: uuid.into(), id, ..Instance::default() }
    };
    let instances = vec![instance("x", 7), instance("y", 8)];
    let view = view(vec![Device { instances, ..device("a", vec![at(10, 7), at(20, 8), at(21, 8)]) }]);
    let servers = [server(10, 10, "a", "m"), server(20, 20, "b", "m"), server(21, 21, "c", "m")];
    let joined = join(&view, &servers);
    let of = |gpu| joined.of_instance(&view.devices[0], InstanceId { gpu, compute: 0 });
    assert_eq!(of(7), Tenancy::Exclusive(owner("a")));
    assert_eq!(of(8), Tenancy::Shared);
    assert_eq!(of(9), Tenancy::Vacant);
    assert_eq!(joined.of_device(&view.devices[0]), Tenancy::Shared);
    let place = joined.places()[&owner("a")].first().unwrap();
    assert_eq!(&**place.uuid(), "x");
}

/// Steps through (joules, processes); returns what each server used.
fn energy(steps: &[(f64, Vec<Process>)]) -> Vec<(String, Attribution, f64)> {
    let servers = [server(10, 10, "a", "m"), server(20, 20, "b", "m")];
    let mut energy = Energy::default();
    for (joules, processes) in steps {
        let mut device = device("gpu", processes.clone());
        device.readings.set(Quantity::Energy, Ok(*joules));
        let view = view(vec![device]);
        energy.step(&view, &join(&view, &servers));
    }
    energy.used().map(|(owner, attribution, joules)| (owner.service.to_string(), attribution, joules)).collect()
}

#[test]
fn energy_is_the_servers_where_it_is_alone() {
    let alone = || vec![process(10, &[], None)];
    let used = energy(&[(100.0, alone()), (100.0, alone()), (150.0, alone()), (160.0, alone())]);
    assert_eq!(used, [("a".to_owned(), Attribution::Exclusive, 60.0)]);
}

#[test]
fn energy_is_divided_by_samples() {
    let both = |a, b| vec![process(10, &[], Some(a)), process(20, &[], Some(b))];
    // 100 J while a had 30 + 30 and b had 10 + 30.
    let used = energy(&[(0.0, both(0.0, 0.0)), (0.0, both(30.0, 10.0)), (100.0, both(30.0, 30.0))]);
    assert_eq!(used, [("a".to_owned(), Attribution::Sampled, 60.0), ("b".to_owned(), Attribution::Sampled, 40.0)]);
}

#[test]
fn energy_of_what_cannot_be_told_apart_is_nobodys() {
    let both = vec![process(10, &[], None), process(20, &[], None)];
    let alone = vec![process(10, &[], None)];
    assert_eq!(energy(&[(0.0, alone.clone()), (50.0, both.clone())]), [], "not alone at the end");
    assert_eq!(energy(&[(0.0, both.clone()), (50.0, both)]), []);
    assert_eq!(energy(&[(0.0, vec![]), (50.0, vec![])]), [], "idle");
    assert_eq!(energy(&[(90.0, alone.clone()), (5.0, alone)]), [], "the driver was loaded anew");
}

#[test]
fn requests_meet_what_their_device_suffered_from() {
    let mut history = History::default();
    let mut look = |second: u64, throttle: Option<Throttle>, xid: Option<u64>| {
        let mut device = device("a", vec![]);
        device.throttle = Ok(throttle.into_iter().map(|throttle| (throttle, true)).collect());
        let xid = xid.map(|second| (79, Xid { count: 1, last: Nanos(second * S) }));
        device.xids = xid.into_iter().collect();
        history.note(&GpuView { time: Nanos(second * S), ..view(vec![device]) });
    };
    look(10, None, None);
    look(15, Some(Throttle::SoftwareThermal), None);
    look(20, Some(Throttle::SoftwareThermal), None);
    look(25, Some(Throttle::Idle), Some(22));
    look(30, None, Some(22));
    let during = |from: u64, to: u64| history.during([&"a".into()], Nanos(from * S), Nanos(to * S));
    assert_eq!(during(1, 9), BTreeSet::new());
    assert_eq!(during(9, 11), BTreeSet::from([Condition::Thermal]), "seen at 15, so since 10");
    assert_eq!(during(16, 17), BTreeSet::from([Condition::Thermal]));
    assert_eq!(during(19, 23), BTreeSet::from([Condition::Thermal, Condition::Xid]));
    assert_eq!(during(26, 40), BTreeSet::new());
    assert_eq!(history.during([&"b".into()], Nanos(0), Nanos(40 * S)), BTreeSet::new());
}
