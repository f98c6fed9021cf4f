//! Agent and server come, go and come again while requests are under way.

use crate::agent::{Agent, SERVICE};
use crate::client::Client;
use crate::expect;
use crate::server::Server;
use inferscope_tests::load::{self, Limit, Options};
use serde_json::{Value, json};
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

fn attach(server: &Server) -> Agent {
    let mut agent = Agent::start(&[server]);
    agent.wait_attached(&[server.pid()]);
    agent
}

fn one_request(server: &Server) -> Vec<load::Seen> {
    load::collect(&Options::new(server.address(), server.model()))
}

#[test]
#[ignore = "needs root"]
fn what_began_before_the_agent_is_counted_and_not_measured() {
    let server = Server::demo(10);
    let (mut running, mut idle) = (Client::connect(&server), Client::connect(&server));
    idle.ask(2);
    idle.read_stream();
    running.ask(1000);
    running.read_events(1);
    let mut agent = attach(&server);
    assert_eq!(running.read_stream(), 1000);
    for client in [&mut running, &mut idle] {
        client.ask(7);
        assert_eq!(client.read_stream(), 7);
    }
    let metrics = agent.metrics_after(3);
    assert_eq!(metrics.sum("llm_time_to_first_token_seconds_count", &[]), Some(2.0));
    assert_eq!(metrics.sum("llm_request_duration_seconds_count", &[]), Some(2.0));
    assert_eq!(metrics.sum("inferscope_requests_incomplete_total", &[("quality", "joined_midway")]), Some(1.0));
    let records = agent.stop().records;
    assert_eq!(records[0]["quality"], "joined_midway", "{}", records[0]);
    for record in &records[1..] {
        expect::complete(record);
        assert_eq!((&record["completion_tokens"], &record["content_events"]), (&json!(7), &json!(7)));
    }
}

#[test]
#[ignore = "needs root"]
fn an_agent_that_is_killed_harms_nobody_and_its_successor_measures_right() {
    let server = Server::demo(5);
    let limit = Limit::Time(Duration::from_secs(3));
    let options = Options { streams: 4, max_tokens: 40, limit, ..Options::new(server.address(), server.model()) };
    let measured = AtomicBool::new(false);
    let (seen, records) = thread::scope(|scope| {
        // How long an agent takes to attach is the machine's affair; a bound, because a panic below waits for this thread.
        let load = scope.spawn(|| {
            let (began, mut seen) = (Instant::now(), Vec::new());
            while !measured.load(Ordering::Relaxed) && began.elapsed() < Duration::from_secs(120) {
                seen.extend(load::collect(&options));
            }
            seen
        });
        let first = attach(&server);
        thread::sleep(Duration::from_secs(1));
        first.kill();
        let mut second = attach(&server);
        second.metrics_when("requests are measured", |metrics| {
            metrics.sum("llm_time_to_first_token_seconds_count", &[]).is_some_and(|count| count > 20.0)
        });
        measured.store(true, Ordering::Relaxed);
        (load.join().expect("the clients do not panic"), second.stop().records)
    });
    assert!(seen.iter().all(|seen| seen.status == Some(200) && seen.error.is_none()), "{seen:?}");
    let complete = |record: &&Value| record["quality"] == "complete";
    assert!(records.iter().filter(complete).count() > 20, "{records:?}");
    for record in records.iter().filter(complete) {
        let seen = seen.iter().find(|seen| seen.id.as_deref() == record["id"].as_str()).expect("a client asked for it");
        expect::same_request(record, seen);
    }
    // Behind a stream that was joined midway, every request is seen whole.
    let midway = records.iter().filter(|record| record["quality"] == "joined_midway").count();
    assert_eq!(midway + records.iter().filter(complete).count(), records.len(), "{records:?}");
    assert!(midway <= 4, "one for each connection: {records:?}");
}

#[test]
#[ignore = "needs root"]
fn a_server_that_starts_again_is_followed() {
    let server = Server::demo(2);
    let mut agent = attach(&server);
    let mut seen = one_request(&server);
    agent.metrics_after(1);
    let (port, model) = (server.address().port(), server.model().to_owned());
    drop(server);
    agent.wait_attached(&[]);
    let server = Server::demo_at(2, port, model);
    agent.wait_attached(&[server.pid()]);
    seen.extend(one_request(&server));
    let records = wait_for_records(agent, 2);
    assert_eq!(records[1]["tgid"], server.pid());
    // Both servers number their answers from the start.
    for (record, seen) in records.iter().zip(&seen) {
        expect::same_request(record, seen);
    }
}

/// Counters end with their server, so the records are waited for.
fn wait_for_records(agent: Agent, count: usize) -> Vec<Value> {
    thread::sleep(Duration::from_secs(1));
    let records = agent.stop().records;
    assert_eq!(records.len(), count, "{records:?}");
    records
}

#[test]
#[ignore = "needs root"]
fn forked_workers_are_followed() {
    let server = Server::python(&["--io", "read-write", "--workers", "2"]);
    let mut agent = Agent::start(&[&server]);
    let family: Vec<_> = server.children().into_iter().chain([server.pid()]).collect();
    assert_eq!(family.len(), 3);
    agent.wait_attached(&family);
    let limit = Limit::Requests(5);
    let seen = load::collect(&Options { streams: 4, limit, ..Options::new(server.address(), server.model()) });
    agent.metrics_after(20).nothing_was_lost();
    let records = agent.stop().records;
    expect::same_requests(&records, &seen);
    assert!(records.iter().all(|record| record["tgid"] != server.pid()), "the parent only waits");
}

#[test]
#[ignore = "needs root"]
fn system_calls_do_where_uprobes_do_not() {
    if let Err(reason) = tracefs() {
        assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "in CI nothing may be skipped: {reason}");
        return eprintln!("skipped: {reason}");
    }
    let servers = [Server::demo(2), Server::python(&["--io", "readv-writev"])];
    let mut agent = Agent::start_with(&servers.each_ref(), "capture: {source: syscalls}\n");
    agent.wait_attached(&servers.each_ref().map(Server::pid));
    let hooks = agent.status()["hooks"].clone();
    let hooks = hooks.as_array().expect("a list");
    for server in &servers {
        let of_server = |hook: &&Value| hook["process"] == server.pid();
        let by_syscall = |hook: &Value| hook["placement"] == "syscall_tracepoint";
        assert!(hooks.iter().filter(of_server).any(by_syscall), "{hooks:?}");
    }
    let limit = Limit::Requests(3);
    let seen = servers
        .each_ref()
        .map(|server| load::collect(&Options { streams: 2, limit, ..Options::new(server.address(), server.model()) }));
    let metrics = agent.metrics_after(12);
    metrics.nothing_was_lost();
    assert_eq!(metrics.sum("llm_request_total", &[("service", SERVICE)]), Some(12.0));
    // Every process on the host pays for them, so they go with the last server that needs them.
    let (pid, pids) = (agent.pid(), servers.each_ref().map(Server::pid));
    assert!(perf_links(pid) > 0, "it is on tracepoints");
    drop(servers);
    agent.metrics_when("the tracepoints are gone", |_| perf_links(pid) == 0);
    let records = agent.stop().records;
    for (pid, seen) in pids.iter().zip(&seen) {
        let of_server = |record: &&Value| record["tgid"] == *pid;
        expect::same_requests(&records.iter().filter(of_server).cloned().collect::<Vec<_>>(), seen);
    }
}

/// How many of its programs a process keeps on tracepoints and functions, by what the kernel says of its descriptors.
fn perf_links(pid: u32) -> usize {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("the agent runs").flatten();
    let said = descriptors.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    said.filter(|said| said.lines().any(|line| line == "link_type:\tperf")).count()
}

fn tracefs() -> Result<(), String> {
    const TRACEFS: &str = "/sys/kernel/tracing";
    let mounted = || Path::new(TRACEFS).join("events/syscalls").exists();
    if mounted() {
        return Ok(());
    }
    let mount = Command::new("mount").args(["-t", "tracefs", "nodev", TRACEFS]).output();
    let said = mount.map_or_else(|error| error.to_string(), |out| String::from_utf8_lossy(&out.stderr).into_owned());
    if mounted() { Ok(()) } else { Err(format!("no syscall tracepoints in {TRACEFS}: {}", said.trim())) }
}

#[test]
#[ignore = "needs root"]
fn sigterm_ends_cleanly_and_leaves_no_probe() {
    let server = Server::demo(20);
    let agent = attach(&server);
    let probes = Probes::of(&agent.status(), server.pid());
    assert!(probes.changed() > 0, "a probe is a changed instruction");
    let mut client = Client::connect(&server);
    client.ask(150);
    client.read_events(3);
    let ended = agent.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let record = ended.record();
    assert_eq!((&record["quality"], &record["status"]), (&json!("truncated"), &json!("unknown")), "{record}");
    assert_eq!(probes.changed(), 0, "no probe is left");
    assert_eq!(client.read_stream(), 150, "the server serves on");
}

/// The places in a process's memory where the agent put probes.
struct Probes {
    memory: File,
    /// Where, and what stands there in the file.
    sites: Vec<(u64, u8)>,
}

impl Probes {
    fn of(status: &Value, pid: u32) -> Probes {
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the server runs");
        let hooks = status["hooks"].as_array().expect("a list of hooks");
        let sites = hooks.iter().flat_map(|hook| {
            let library = hook["library"].as_str().expect("a path").to_owned();
            let file = File::open(format!("/proc/{pid}/root{library}")).expect("the library is there");
            let offsets: Vec<_> = hook["sites"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let maps = &maps;
            offsets.into_iter().map(move |offset| (address(maps, &library, offset), byte(&file, offset)))
        });
        Probes { sites: sites.collect(), memory: File::open(format!("/proc/{pid}/mem")).expect("as root") }
    }

    /// How many of them are not as the file has them.
    fn changed(&self) -> usize {
        self.sites.iter().filter(|(address, original)| byte(&self.memory, *address) != *original).count()
    }
}

fn byte(file: &File, offset: u64) -> u8 {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("it is mapped");
    byte[0]
}

/// Where a file's offset is in the process's memory.
fn address(maps: &str, library: &str, offset: u64) -> u64 {
    let hex = |text: &str| u64::from_str_radix(text, 16).expect("the kernel writes hexadecimal");
    let mapping = maps.lines().filter(|line| line.ends_with(library)).find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (from, to) = fields[0].split_once('-')?;
        let (from, to, begins) = (hex(from), hex(to), hex(fields[2]));
        (begins..begins + (to - from)).contains(&offset).then(|| from + (offset - begins))
    });
    mapping.expect("a probed library is mapped")
}
