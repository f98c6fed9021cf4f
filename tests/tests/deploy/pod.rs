//! The rendered pod runs: the image's root, read only, under a real container runtime, with the user, the capabilities and
//! the seccomp profile that the chart asks for. The agent in it attaches to a server outside of it.

use crate::bundle::Bundle;
use crate::chart::render;
use crate::tool::tool;
use inferscope_tests::client::Client;
use inferscope_tests::process_group::ProcessGroup;
use inferscope_tests::server::Server;
use inferscope_tests::{nvml_folder, sum};
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The agent in a container loads its programs, unoptimised, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// What became of a pod.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Working,
    Ended,
}

/// A running pod of one container. Dropping it ends and removes it.
struct Pod {
    name: String,
    folder: PathBuf,
    group: ProcessGroup,
}

impl Pod {
    /// Starts what helm renders for these values.
    fn start(name: &str, values: &[&str]) -> Pod {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("deploy-pod-{name}"));
        let bundle = Bundle::of(&render(values), &folder);
        let name = format!("inferscope-{name}-{}", std::process::id());
        let log = File::create(folder.join("log")).expect("the folder is writable");
        let mut run = runc(&folder);
        run.args(["run", "--pid-file"]).arg(folder.join("pid")).arg("--bundle").arg(&bundle.folder).arg(&name);
        run.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let group = ProcessGroup::spawn(&mut run).expect("runc starts");
        Pod { name, folder, group }
    }

    /// The host's number of its process.
    fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
        text.trim().parse().unwrap_or_else(|_| panic!("it does not run:\n{}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A page, asked from inside of the pod's network.
    fn get(&self, path: &str) -> String {
        let script =
            format!(r#"exec 3<>/dev/tcp/127.0.0.1/9464 && printf 'GET {path} HTTP/1.0\r\n\r\n' >&3 && cat <&3"#);
        let mut ask = Command::new("nsenter");
        ask.args(["--net", "--target", &self.pid().to_string(), "bash", "-c", &script]);
        let answer = ask.output().expect("nsenter is there");
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }

    /// Waits until a page says something.
    fn wait(&mut self, path: &str, says: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.group.try_wait().expect("a child");
            assert!(ended.is_none() && Instant::now() < deadline, "{path}: {ended:?}\n{}", self.log());
            if self.folder.join("pid").is_file() {
                let page = self.get(path);
                if says(&page) {
                    return page;
                }
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until it has ended, or a page says that it works.
    fn outcome(&mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.group.try_wait().expect("a child").is_some() {
                return Outcome::Ended;
            }
            if self.folder.join("pid").is_file() && self.get("/healthz").contains(" 200 ") {
                return Outcome::Working;
            }
            thread::sleep(POLL);
        }
        panic!("it neither works nor ends:\n{}", self.log());
    }

    /// What `kubectl exec` does.
    fn exec(&self, arguments: &[&str]) -> Output {
        let mut exec = runc(&self.folder);
        exec.args(["exec", &self.name]).args(arguments);
        exec.output().expect("runc starts")
    }

    /// A field of its process's status.
    fn status(&self, field: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field}")).trim().to_owned()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // runc hands SIGTERM on to the agent; what is left is removed.
        let _ = self.group.end();
        let _ = runc(&self.folder).args(["delete", "--force", &self.name]).output();
    }
}

fn runc(folder: &Path) -> Command {
    let mut runc = tool("runc");
    runc.arg("--root").arg(folder.join("runc"));
    runc
}

#[test]
#[ignore = "needs root and cargo xtask image --dev"]
fn the_agent_in_the_rendered_pod_measures_a_server() {
    let server = Server::demo(5);
    let config = json!({
        "engines": {"vllm": {"enabled": false}, "triton": {"enabled": false}, "comfyui": {"enabled": false}},
        "servers": [{"engine": "vllm", "argv": server.mark(), "service": "pod"}],
    });
    // NVIDIA's real library stands where the chart mounts a host's: the image's C library must be able to load it.
    let library = nvml_folder().join("debian");
    assert!(library.join("libnvidia-ml.so.1").is_file(), "no {}: run cargo xtask setup --gpu", library.display());
    let volume = json!([{"name": "nvidia", "hostPath": {"path": library}}]);
    let mount = json!([{"name": "nvidia", "mountPath": "/usr/local/nvidia/lib64", "readOnly": true}]);
    let mut pod = Pod::start(
        "measures",
        &[
            &format!("--set-json=config={config}"),
            &format!("--set-json=volumes={volume}"),
            &format!("--set-json=volumeMounts={mount}"),
        ],
    );
    assert_eq!(pod.outcome(), Outcome::Working, "{}", pod.log());

    // It has what the chart says, and no more.
    assert_eq!(pod.status("Uid"), "0\t0\t0\t0");
    let capabilities = u64::from_str_radix(&pod.status("CapBnd"), 16).expect("hexadecimal");
    // BPF, PERFMON, SYS_PTRACE, DAC_READ_SEARCH; and SYS_ADMIN, which the agent gives up where its kernel does not ask for it.
    let always = 1 << 39 | 1 << 38 | 1 << 19 | 1 << 2;
    assert_eq!(capabilities | 1 << 21, always | 1 << 21, "{capabilities:#x}");
    assert_eq!((pod.status("NoNewPrivs"), pod.status("Seccomp")), ("1".to_owned(), "2".to_owned()), "filtered");
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", pod.pid())).expect("it runs");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("it has a root");
    assert!(root.split(' ').nth(5).is_some_and(|options| options.starts_with("ro,")), "{root}");

    let pid = format!("\"tgid\": {}", server.pid());
    pod.wait("/status", |page| page.contains(&pid) && page.contains("\"attached\""));
    let mut client = Client::connect(&server);
    client.ask(10);
    assert_eq!(client.read_stream(), 10);
    let labels = ["service=\"pod\""];
    let page = pod.wait("/metrics", |page| sum(page, "llm_request_total", &labels) >= 1.0);
    assert_eq!(sum(&page, "llm_request_total", &["service=\"pod\"", "status=\"ok\""]), 1.0, "{page}");
    assert_eq!(sum(&page, "llm_time_to_first_token_seconds_count", &labels), 1.0, "{page}");
    assert_eq!(sum(&page, "inferscope_events_lost_total", &[]), 0.0, "{page}");

    // As NOTES.txt tells people to look.
    let check = pod.exec(&["inferscope", "check", "--config", "/etc/inferscope/inferscope.yaml"]);
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.contains("programs loaded"), "{said}\n{}", pod.log());
    assert!(said.contains("NVIDIA's library is there, its kernel driver is not loaded"), "{said}");
    println!("{said}");
    let memory = sum(&pod.get("/metrics"), "process_resident_memory_bytes", &[]) / f64::from(1 << 20);
    println!("the agent in the pod: {memory:.1} MiB resident");
}

#[test]
#[ignore = "needs root and cargo xtask image --dev"]
fn where_the_kernel_demands_more_the_pod_says_so() {
    // On kernels since July 2025 this is too little: the last line of the log is what an operator looks at.
    let values = ["--set=capabilities.sysAdmin=false", "--set=seccompProfile.type=Unconfined"];
    let mut pod = Pod::start("older", &values);
    match pod.outcome() {
        Outcome::Working => assert_eq!(pod.status("NoNewPrivs"), "1"),
        Outcome::Ended => {
            let log = pod.log();
            assert!(log.lines().last().is_some_and(|line| line.contains("CAP_SYS_ADMIN is missing")), "{log}");
        }
    }
}
