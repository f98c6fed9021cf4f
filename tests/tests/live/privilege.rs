//! What the agent is let do: started as an unprivileged user with the capabilities that the unit and the pod give it, it
//! measures; with one of them taken away it says what is missing. The table in docs/security.md is made here.

use crate::agent::{Agent, Folder, configuration};
use crate::client::Client;
use crate::expect;
use crate::server::Server;
use inferscope::host::privilege::Capability;
use inferscope_tests::agent::{self, Start, binary};
use inferscope_tests::identity::{CAPABILITIES, Identity};
use inferscope_tests::load::{self, Options};
use inferscope_tests::repository;
use serde_json::Value;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::{env, fs};

/// Bits of linux/capability.h, of what setpriv calls so.
fn bit(capability: &str) -> u32 {
    match capability {
        "dac_read_search" => 2,
        "sys_ptrace" => 19,
        "sys_admin" => 21,
        "perfmon" => 38,
        "bpf" => 39,
        "checkpoint_restore" => 40,
        other => panic!("{other} has no bit here"),
    }
}

fn mask(capabilities: &[&str]) -> u64 {
    capabilities.iter().map(|capability| 1 << bit(capability)).sum()
}

/// What `check` says of CAP_SYS_ADMIN: kernels differ.
fn kernel_demands_sys_admin() -> bool {
    let output = Command::new(binary()).args(["check", "--json"]).output().expect("check runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("check prints JSON");
    let rows = report["capabilities"].as_array().expect("a list");
    rows.iter().any(|row| row["name"] == "CAP_SYS_ADMIN" && row["state"] != "not_demanded")
}

/// Those of these that the agent keeps on this kernel.
fn kept(capabilities: &[&str]) -> u64 {
    let admin = if kernel_demands_sys_admin() { 0 } else { mask(&["sys_admin"]) };
    mask(capabilities) & !admin
}

/// Every thread of a process has exactly these capabilities, and no program that it starts gains any.
fn assert_capabilities(pid: u32, expected: u64) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let mut threads = 0;
    for task in tasks {
        let status = fs::read_to_string(task.expect("a thread").path().join("status")).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field of every kernel");
            u64::from_str_radix(line.trim(), 16).expect("a number")
        };
        let sets = ["CapEff:", "CapPrm:", "CapBnd:"].map(|name| format!("{name} {:010x}", field(name)));
        let wanted = ["CapEff:", "CapPrm:", "CapBnd:"].map(|name| format!("{name} {expected:010x}"));
        assert_eq!(sets, wanted, "{status}");
        assert_eq!((field("CapInh:"), field("CapAmb:"), field("NoNewPrivs:")), (0, 0, 1), "{status}");
        threads += 1;
    }
    assert!(threads >= 3, "the pipeline, the servers and the GPUs have a thread each: {threads}");
}

#[test]
#[ignore = "needs root"]
fn root_gives_up_all_that_is_not_used() {
    let server = Server::demo(2);
    let mut agent = Agent::start(&[&server]);
    agent.wait_attached(&[server.pid()]);
    assert_capabilities(agent.pid(), kept(&[&CAPABILITIES[..], &["checkpoint_restore"]].concat()));
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.pid())).expect("it runs");
    let open = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit of every kernel");
    let open: Vec<_> = open.split_whitespace().skip(3).take(2).collect();
    assert_eq!(open[0], open[1], "as many probes as the hard limit allows");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of every kernel");
    assert_eq!(core.split_whitespace().filter(|field| *field == "0").count(), 2, "{core}");
    // A server that starts later is attached to all the same.
    let (port, model) = (server.address().port(), server.model().to_owned());
    drop(server);
    let later = Server::demo_at(2, port, model);
    agent.wait_attached(&[later.pid()]);
    let seen = load::collect(&Options::new(later.address(), later.model()));
    agent.metrics_after(seen.len() as u64);
}

#[test]
#[ignore = "needs root"]
fn an_unprivileged_user_with_the_capabilities_of_the_unit_measures() {
    let server = Server::demo(2);
    let text = configuration(&[&server]);
    let start = Start { configuration: &text, identity: Identity::service(), ..Start::default() };
    let mut agent = Agent::start_as(&start);
    agent.wait_attached(&[server.pid()]);
    assert_capabilities(agent.pid(), kept(&CAPABILITIES));
    // What may not be dumped belongs to root in /proc, whoever runs it.
    let memory = fs::metadata(format!("/proc/{}/environ", agent.pid())).expect("it runs");
    assert_eq!(memory.uid(), 0, "its memory is nobody's to look at");
    let seen = load::collect(&Options::new(server.address(), server.model()));
    agent.metrics_after(1).nothing_was_lost();
    expect::same_requests(&agent.stop().records, &seen);
}

/// One row of the table: what is taken away, what comes of it, and what the agent names as missing.
struct Case {
    without: &'static [&'static str],
    outcome: &'static str,
    blames: &'static str,
}

const MEASURES: &str = "measures";
const NO_START: &str = "does not start";
const NO_ATTACH: &str = "finds the server and cannot attach";
const PARTLY: &str = "measures, but not on connections that were open before";

/// On a kernel that demands CAP_SYS_ADMIN for uprobes.
const CASES: [Case; 9] = [
    Case { without: &[], outcome: MEASURES, blames: "" },
    Case { without: &["sys_admin"], outcome: NO_START, blames: "CAP_SYS_ADMIN is missing" },
    Case { without: &["sys_ptrace"], outcome: NO_ATTACH, blames: "CAP_SYS_PTRACE is missing" },
    Case { without: &["dac_read_search"], outcome: PARTLY, blames: "CAP_DAC_READ_SEARCH is missing" },
    Case { without: &["bpf"], outcome: MEASURES, blames: "" },
    Case { without: &["perfmon"], outcome: MEASURES, blames: "" },
    Case { without: &["bpf", "sys_admin"], outcome: NO_START, blames: "CAP_BPF is missing" },
    Case { without: &["perfmon", "sys_admin"], outcome: NO_START, blames: "CAP_PERFMON is missing" },
    Case { without: &CAPABILITIES, outcome: NO_START, blames: "CAP_BPF is missing" },
];

#[test]
#[ignore = "needs root"]
fn what_is_taken_away_is_missed_by_name() {
    let server = Server::demo(2);
    if !kernel_demands_sys_admin() {
        // Then these two cases end otherwise, and only they.
        let (outcome, _) = outcome(&server, &["sys_admin"]);
        assert_eq!(outcome, MEASURES);
        let (outcome, said) = self::outcome(&server, &["perfmon", "sys_admin"]);
        assert!(outcome == NO_START && said.contains("CAP_PERFMON is missing"), "{outcome}: {said}");
        return eprintln!("the table is of kernels that demand CAP_SYS_ADMIN for uprobes; this one does not");
    }
    let mut table = purposes();
    table.push_str("\n| without | the agent | and says |\n| --- | --- | --- |\n");
    for Case { without, outcome: expected, blames } in CASES {
        let (outcome, said) = outcome(&server, without);
        assert_eq!(outcome, expected, "without {without:?}: {said}");
        assert!(said.contains(blames), "without {without:?}: {said}");
        let names: Vec<_> = without.iter().map(|name| format!("CAP_{}", name.to_uppercase())).collect();
        let names = if names.len() == CAPABILITIES.len() { "any".to_owned() } else { names.join(" and ") };
        let names = if names.is_empty() { "nothing".to_owned() } else { names };
        writeln!(table, "| {names} | {outcome} | {said} |").expect("a string");
    }
    in_document(&table);
}

/// Starts an agent without these, and says what came of it and what it said.
fn outcome(server: &Server, without: &[&str]) -> (&'static str, String) {
    let capabilities = CAPABILITIES.into_iter().filter(|capability| !without.contains(capability)).collect();
    let text = configuration(&[server]);
    let start = Start { configuration: &text, identity: Identity::Unprivileged(capabilities), ..Start::default() };
    let folder = Folder::new();
    let mut before = Client::connect(server);
    before.ask(2);
    before.read_stream();
    let mut agent = agent::Agent::spawn(&folder.path(""), &start).expect("setpriv runs");
    let mut process = Value::Null;
    let found = agent.wait_until("the server is attached to, or cannot be", |agent| {
        let status = agent.status().unwrap_or_default();
        let mut processes = status["processes"].as_array().into_iter().flatten();
        process = processes.find(|process| process["tgid"] == server.pid()).cloned().unwrap_or_default();
        Ok(process["state"].is_string())
    });
    let log = agent.stderr();
    if found.is_err() {
        let sentence = log.lines().find_map(|line| line.strip_prefix("inferscope: ")).unwrap_or(&log);
        return (NO_START, quoted(sentence, server));
    }
    if process["state"] != "attached" {
        return (NO_ATTACH, quoted(process["explanation"].as_str().unwrap_or_default(), server));
    }
    before.ask(2);
    before.read_stream();
    let seen = load::collect(&Options::new(server.address(), server.model()));
    let counted = |agent: &agent::Agent| agent.metric("llm_request_total", &[]);
    agent
        .wait_until("the last request is counted", |agent| Ok(counted(agent)? >= seen.len() as f64))
        .expect("it measures");
    agent.settle();
    let on_open_connection = counted(&agent).expect("metrics") - seen.len() as f64;
    let warning = log.lines().find_map(|line| line.split_once("are not known: ").map(|(_, reason)| reason));
    match warning {
        Some(reason) if on_open_connection == 0.0 => (PARTLY, quoted(reason, server)),
        None if on_open_connection == 1.0 => (MEASURES, String::new()),
        _ => panic!("{on_open_connection} requests are counted of one on a connection that was open: {log}"),
    }
}

/// What each is for, as `inferscope check` says it.
fn purposes() -> String {
    let row = |capability: &Capability| {
        format!("| {} | {} | {} |\n", capability.name(), capability.purpose(), capability.without())
    };
    let rows: String = Capability::ALL.iter().map(row).collect();
    format!("| capability | what the agent does by it | without it |\n| --- | --- | --- |\n{rows}")
}

/// As the document shows it, without what differs from run to run.
fn quoted(said: &str, server: &Server) -> String {
    let pid = server.pid().to_string();
    let said = said.split(" pid=").next().unwrap_or(said).replace(&pid, "PID");
    format!("“{}”", said.trim())
}

/// The table of docs/security.md is this one. `UPDATE_EXPECT=1` rewrites it.
fn in_document(table: &str) {
    const BEGIN: &str = "<!-- made by tests/live/privilege.rs -->\n";
    const END: &str = "<!-- end -->";
    let path = repository("docs/security.md");
    let text = fs::read_to_string(&path).expect("docs/security.md");
    let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
    let (current, after) = rest.split_once(END).expect("an end of the table");
    if env::var_os("UPDATE_EXPECT").is_some() {
        return fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("it is ours");
    }
    assert_eq!(current, table, "stale: run this test with UPDATE_EXPECT=1 and review the change");
}
