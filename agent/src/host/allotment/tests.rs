//! Which devices are whose, and a kubelet of our own that answers, refuses, hangs, lies and goes away.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::kubelet::{self, Ask, Devices, List, OfContainer, OfPod, Refusal};
use super::*;
use crate::host::gpu::view::InstanceId;
use crate::host::inquiry::{Inquiry, Rhythm};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::sync::oneshot;

/// Longest wait for something that comes at once.
const SOON: Duration = Duration::from_secs(20);

/// A container `main` of `namespace/pod` with these devices.
fn holding(pod: &str, ids: &[&str]) -> OfPod {
    let devices = vec![Devices { resource: "nvidia.com/gpu".into(), ids: ids.iter().map(|id| (*id).into()).collect() }];
    let containers = vec![
        OfContainer { name: "main".into(), devices },
        OfContainer { name: "side".into(), ..OfContainer::default() },
    ];
    OfPod { name: pod.into(), namespace: "serving".into(), containers }
}

fn device(index: &str, uuid: &str) -> Device {
    let (index, uuid, pci) = (index.into(), uuid.into(), format!("0000:c{index}:00.0").into());
    let instance = |gpu| Instance {
        uuid: format!("MIG-{gpu}").into(),
        profile: "1g.10gb".into(),
        id: InstanceId { gpu, compute: 0 },
        readings: crate::host::gpu::quantity::Readings::default(),
    };
    Device { index, uuid, pci, instances: vec![instance(7), instance(8)], ..Device::default() }
}

#[test]
fn devices_by_the_names_that_plugins_give() {
    let device = device("1", "GPU-1");
    let pods = |of: Option<&Arc<Workload>>| of.map(ToString::to_string);
    let a = Some("container main of pod serving/a".to_owned());
    let holders = |list: &[(&str, &[&str])]| {
        let list = List { pods: list.iter().map(|(pod, ids)| holding(pod, ids)).collect() };
        let allotments = Allotments::of(&list);
        let [seventh, eighth] = [0, 1].map(|n| pods(allotments.of_instance(&device, &device.instances[n])));
        (pods(allotments.of_device(&device)), seventh, eighth)
    };
    for (list, expected) in [
        (&[][..], (None, None, None)),
        (&[("a", &["GPU-1", "GPU-2"][..])], (a.clone(), None, None)),
        (&[("a", &["GPU-2"])], (None, None, None)),
        // Shares of a device: of one container, or of two.
        (&[("a", &["GPU-1::0", "GPU-1::3"])], (a.clone(), None, None)),
        (&[("a", &["GPU-1::0"]), ("b", &["GPU-1::1"])], (None, None, None)),
        (&[("a", &["MIG-7"]), ("b", &["MIG-9"])], (None, a.clone(), None)),
        (&[("a", &["MIG-8::2"])], (None, None, a.clone())),
        (&[("a", &["MIG-GPU-1/7/0"])], (None, a.clone(), None)),
        (&[("a", &["nvidia1"])], (a.clone(), None, None)),
        (&[("a", &["nvidia1/vgpu0"]), ("b", &["nvidia0/vgpu0"])], (a.clone(), None, None)),
        (&[("a", &["nvidia1/gi8"])], (None, None, a.clone())),
        (&[("a", &["nvidia1/gi8/vgpu1"]), ("b", &["nvidia1/gi8/vgpu0"])], (None, None, None)),
        (&[("a", &["0000:c1:00.0"])], (a.clone(), None, None)),
    ] {
        assert_eq!(holders(list), expected, "{list:?}");
    }
}

/// What to do with a call.
#[derive(Clone)]
enum Behaviour {
    Answer(List),
    /// A gRPC status.
    Status(&'static str),
    /// 200 and nonsense.
    Garbage,
    /// Nothing that looks like HTTP/2.
    Noise,
    Hang,
    /// An answer longer than anybody reads.
    Endless,
}

/// A kubelet that does as it is told. Its socket goes with it.
struct Kubelet {
    socket: PathBuf,
    behaviour: Arc<Mutex<Behaviour>>,
    _stop: oneshot::Sender<()>,
}

impl Kubelet {
    fn start(socket: &Path, behaviour: Behaviour) -> Kubelet {
        let (stop, stopped) = oneshot::channel::<()>();
        let behaviour = Arc::new(Mutex::new(behaviour));
        let told = Arc::clone(&behaviour);
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                tokio::select! {
                    _ = stopped => {}
                    () = serve(&listener, &told) => {}
                }
            });
        });
        Kubelet { socket: socket.to_owned(), behaviour, _stop: stop }
    }

    fn now(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

async fn serve(listener: &UnixListener, told: &Arc<Mutex<Behaviour>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let behaviour = told.lock().unwrap().clone();
        tokio::spawn(async move {
            if matches!(behaviour, Behaviour::Noise) {
                let _ = stream.write_all(b"SSH-2.0-kubelet\r\n").await;
                return;
            }
            let service = service_fn(|request: Request<Incoming>| answer(request, behaviour.clone()));
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    behaviour: Behaviour,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1.PodResourcesLister/List");
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    assert!(Ask::decode(asked.slice(5..)).is_ok() && asked[0] == 0);
    let (status, message) = match behaviour {
        Behaviour::Answer(list) => ("0", framed(&list.encode_to_vec())),
        Behaviour::Status(status) => (status, Bytes::new()),
        Behaviour::Garbage | Behaviour::Noise => ("0", framed(b"\xff\xff\xff\xff nonsense")),
        Behaviour::Endless => ("0", Bytes::from_static(b"\0\xff\xff\xff\xff")),
        Behaviour::Hang => std::future::pending().await,
    };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]);
    let body = Full::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    Ok(Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap())
}

/// gRPC's frame around a message.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("inferscope-kubelet-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("kubelet.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ask(socket: &Path) -> Result<List, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(kubelet::list(socket))
}

#[test]
fn a_kubelet_answers() {
    let folder = Folder::new("answers");
    assert!(matches!(ask(&folder.socket()), Err(Refusal::NoSocket(_))));
    let list = List { pods: vec![holding("a", &["GPU-1"]), OfPod::default()] };
    let kubelet = Kubelet::start(&folder.socket(), Behaviour::Answer(list.clone()));
    assert_eq!(ask(&folder.socket()), Ok(list));
    // A node with many pods: more than gRPC clients take unasked.
    let pods = (0..20_000).map(|pod| holding(&format!("pod-{pod:0200}"), &["GPU-1"])).collect();
    let long = List { pods };
    assert!(long.encoded_len() > 4 << 20);
    kubelet.now(Behaviour::Answer(long.clone()));
    assert_eq!(ask(&folder.socket()), Ok(long));
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    // A pod with a container, whose processors (3), memory (4) and claims (5) nobody here reads.
    let container = b"\x0a\x04main\x1a\x02\x01\x02\x22\x03\x0a\x01m\x2a\x03\x12\x01c";
    let pod = [&b"\x0a\x01p\x12\x01n\x1a"[..], &[u8::try_from(container.len()).unwrap()], container].concat();
    let list = [&b"\x0a"[..], &[u8::try_from(pod.len()).unwrap()], &pod].concat();
    let list = List::decode(&*list).unwrap();
    assert_eq!((list.pods[0].name.as_str(), list.pods[0].containers[0].name.as_str()), ("p", "main"));
    assert!(Allotments::of(&list).is_empty());
}

#[test]
fn a_kubelet_that_does_not_answer_as_it_should() {
    let folder = Folder::new("faults");
    let kubelet = Kubelet::start(&folder.socket(), Behaviour::Hang);
    for (behaviour, expected) in [
        (Behaviour::Status("14"), "Unavailable"),
        (Behaviour::Status("8"), "ResourceExhausted"),
        (Behaviour::Garbage, ""),
        (Behaviour::Noise, ""),
        (Behaviour::Endless, "OutOfRange"),
        (Behaviour::Hang, "no answer in 5 s"),
    ] {
        kubelet.now(behaviour);
        let began = Instant::now();
        let Err(Refusal::Failed(why)) = ask(&folder.socket()) else { panic!("{expected}") };
        assert!(why.contains(expected) && why.len() < 300, "{expected}: {why}");
        assert!(began.elapsed() < SOON);
    }
    drop(kubelet);
    // A socket that nobody listens at, and a file that is none.
    drop(std::os::unix::net::UnixListener::bind(folder.socket()).unwrap());
    assert!(matches!(ask(&folder.socket()), Err(Refusal::Failed(_))));
    fs::remove_file(folder.socket()).unwrap();
    fs::write(folder.socket(), "no socket").unwrap();
    assert!(matches!(ask(&folder.socket()), Err(Refusal::Failed(_))));
}

type Turn = crate::host::inquiry::Turn<Allotments, Refusal>;

fn watch(folder: &Folder, belief: Duration, interval: Duration) -> (Inquiry, Receiver<Turn>) {
    let (tell, told) = mpsc::channel();
    let tell = move |turn| drop(tell.send(turn));
    let question = kubelet::Kubelet(folder.socket());
    (Inquiry::start("pods", question, Rhythm { interval, belief }, tell).unwrap(), told)
}

fn until(told: &Receiver<Turn>, wanted: impl Fn(&Turn) -> bool) -> Turn {
    std::iter::from_fn(|| told.recv_timeout(SOON).ok()).find(wanted).unwrap()
}

#[test]
fn what_was_said_is_believed_for_a_while() {
    let folder = Folder::new("belief");
    let (_watch, told) = watch(&folder, Duration::from_secs(1), Duration::from_millis(20));
    assert!(matches!(told.recv_timeout(SOON).unwrap(), Turn::Unknown(Refusal::NoSocket(_))));
    let list = List { pods: vec![holding("a", &["GPU-1"])] };
    let kubelet = Kubelet::start(&folder.socket(), Behaviour::Answer(list.clone()));
    assert_eq!(until(&told, |turn| matches!(turn, Turn::Known(_))), Turn::Known(Allotments::of(&list)));
    kubelet.now(Behaviour::Garbage);
    until(&told, |turn| matches!(turn, Turn::Silent(Refusal::Failed(_))));
    drop(kubelet);
    until(&told, |turn| matches!(turn, Turn::Unknown(Refusal::NoSocket(_))));
    // Another kubelet makes another socket.
    let list = List { pods: vec![holding("b", &["GPU-1"])] };
    let _kubelet = Kubelet::start(&folder.socket(), Behaviour::Answer(list.clone()));
    assert_eq!(until(&told, |turn| matches!(turn, Turn::Known(_))), Turn::Known(Allotments::of(&list)));
}

#[test]
fn a_new_container_makes_it_ask_at_once() {
    let folder = Folder::new("prompt");
    let _kubelet = Kubelet::start(&folder.socket(), Behaviour::Answer(List::default()));
    let (watch, told) = watch(&folder, SOON, Duration::from_secs(3600));
    until(&told, |turn| matches!(turn, Turn::Known(_)));
    watch.prompt();
    until(&told, |turn| matches!(turn, Turn::Known(_)));
}

#[test]
fn it_ends_though_the_kubelet_hangs() {
    let folder = Folder::new("hangs");
    let _kubelet = Kubelet::start(&folder.socket(), Behaviour::Hang);
    let (watch, told) = watch(&folder, SOON, SOON);
    thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    drop(watch);
    // The thread has the sender: it is gone when that is.
    assert!(told.recv_timeout(SOON).is_err() && began.elapsed() < Duration::from_secs(4));
}
