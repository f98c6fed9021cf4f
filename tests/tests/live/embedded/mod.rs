//! A program of our own that embeds a library with Triton's functions: the programs in the kernel against calls whose every
//! argument is known.

use inferscope_tests::agent::Agent;
use inferscope_tests::process_group::ProcessGroup;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The compiled program with its two libraries, and an agent that watches it.
struct Scene {
    folder: PathBuf,
    program: ProcessGroup,
    line: UnixStream,
    agent: Agent,
}

impl Scene {
    fn start(name: &str) -> Scene {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        // Renamed, as wheels and containers do.
        compile("library.c", &folder.join("libtritonserver-0123abcd.so"), &["-shared", "-fPIC"]);
        compile("library.c", &folder.join("libtriton_live.so"), &["-shared", "-fPIC", "-DBACKEND=\"first\""]);
        compile("program.c", &folder.join("program"), &["-ldl", "-lpthread"]);
        let (line, end) = UnixStream::pair().expect("a pair of sockets");
        let mut command = Command::new(folder.join("program"));
        command.args([folder.join("libtritonserver-0123abcd.so"), folder.join("libtriton_live.so")]);
        let output = end.try_clone().expect("a descriptor");
        command
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(end)))
            .stdout(Stdio::from(std::os::fd::OwnedFd::from(output)));
        let program = ProcessGroup::spawn(&mut command).expect("the program starts");
        let mut agent = Agent::start(&folder, "").expect("the agent starts");
        agent.attached(program.id()).expect("it is found by the library that it maps");
        Scene { folder, program, line, agent }
    }

    /// Says a line to the program and waits until it has done it. How many nanoseconds of processor time
    /// that took it.
    fn act(&mut self, line: &str) -> u64 {
        writeln!(self.line, "{line}").expect("the program reads");
        let mut answer = String::new();
        let mut byte = [0];
        while self.line.read(&mut byte).expect("the program answers") == 1 && byte != *b"\n" {
            answer.push(char::from(byte[0]));
        }
        answer.parse().expect("nanoseconds")
    }

    /// Its inferences so far whose ids begin so.
    fn records(&self, id: &str) -> Vec<Value> {
        self.agent.settle();
        let pid = self.program.id();
        let mine =
            |record: &Value| record["tgid"] == pid && record["id"].as_str().is_some_and(|own| own.starts_with(id));
        self.agent.records().expect("records").into_iter().filter(mine).collect()
    }
}

fn compile(source: &str, to: &Path, flags: &[&str]) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/embedded").join(source);
    let mut compiler = Command::new("cc");
    // Without optimisation: functions of a line would lose their prologues, or be folded into one.
    compiler.args(["-O0", "-Wall", "-Wextra", "-Werror", "-o"]).arg(to).arg(source).args(flags);
    assert!(compiler.status().expect("cc, which linked this test").success());
}

#[test]
#[ignore = "needs root"]
fn every_argument_arrives() {
    let mut scene = Scene::start("live-embedded");
    for line in ["unary 3", "fail 1", "refused 1", "batch 5", "batch 40", "batch 300", "stream 50"] {
        scene.act(line);
    }
    let unary = scene.records("unary");
    assert_eq!(unary.len(), 3, "{unary:?}");
    for record in &unary {
        assert_eq!((&record["model"], &record["status"]), (&json!("unary"), &json!("ok")), "{record}");
        // The seventh argument, which lies on the stack, is the last stage's end.
        let stages = [&record["compute_input_us"], &record["compute_infer_us"], &record["compute_output_us"]];
        assert_eq!(stages.map(Value::as_f64), [Some(1.0), Some(2.0), Some(4.0)], "{record}");
        assert_eq!((&record["batch"], &record["responses"]), (&json!(1), &json!(1)), "{record}");
    }
    let [failed] = &scene.records("fails")[..] else { panic!("one failed") };
    assert_eq!((&failed["status"], &failed["fault"]), (&json!("error"), &json!("internal")), "{failed}");
    let [refused] = &scene.records("refused")[..] else { panic!("one was refused") };
    assert_eq!((&refused["status"], &refused["fault"]), (&json!("rejected"), &json!("unavailable")), "{refused}");
    let batch = scene.records("batch");
    for size in [5, 40] {
        assert_eq!(batch.iter().filter(|record| record["batch"] == size).count(), size, "batches of {size}");
    }
    // Of a list longer than is copied, the rest is known by its own reports.
    assert_eq!(batch.len(), 345);
    assert!(batch.iter().all(|record| record["status"] == "ok"));
    let [stream] = &scene.records("stream")[..] else { panic!("one stream") };
    assert_eq!((&stream["responses"], &stream["quality"]), (&json!(50), &json!("complete")), "{stream}");
    assert_eq!(stream["gaps_us"].as_array().map(Vec::len), Some(49));
    scene.agent.nothing_lost();
}

/// A response whose maker is not found is of nobody, and that is counted.
#[test]
#[ignore = "needs root"]
fn responses_that_another_thread_sends_are_not_guessed() {
    let mut scene = Scene::start("live-embedded-threads");
    scene.act("elsewhere 20");
    scene.act("stream 20");
    let [stream] = &scene.records("stream")[..] else { panic!("one stream") };
    assert_eq!(stream["responses"], 20, "{stream}");
    let [elsewhere] = &scene.records("elsewhere")[..] else { panic!("one stream") };
    println!("sent by other threads: {elsewhere}");
    assert_eq!(elsewhere["responses"], 0, "{elsewhere}");
    let counted = scene.agent.metric("inferscope_issues_total", &[]).expect("metrics");
    assert!(counted >= 20.0, "{counted} issues");
}

/// Libraries come and go: unmapped, mapped again, replaced by another build at the same path.
#[test]
#[ignore = "needs root"]
fn backends_come_and_go() {
    let mut scene = Scene::start("live-embedded-backends");
    let (first, second) = (scene.folder.join("libtriton_live.so"), scene.folder.join("libtriton_other.so"));
    scene.act("unary 1");
    compile("library.c", &second, &["-shared", "-fPIC", "-DBACKEND=\"second\""]);
    let mut expected = 1;
    let turns = [second.clone(), first.clone(), second.clone(), first.clone()];
    for (turn, path) in turns.iter().enumerate() {
        if turn == 2 {
            // Another file at the same path, as an upgrade makes it.
            fs::remove_file(&second).expect("removed");
            compile("library.c", &second, &["-shared", "-fPIC", "-DBACKEND=\"third\""]);
        }
        scene.act(&format!("backend {}", path.display()));
        std::thread::sleep(std::time::Duration::from_millis(2500));
        scene.act("unary 1");
        expected += 1;
        let records = scene.records("unary");
        assert_eq!(records.len(), expected);
        let executed = records.iter().filter(|record| !record["executed_us"].is_null()).count();
        assert_eq!(executed, expected, "each execution was seen, once: {records:?}");
    }
    // Of the file that is gone nothing is left; the two that are there have two functions each.
    let status = scene.agent.status().expect("a status");
    let hooks = status["hooks"].as_array().expect("hooks");
    let of = |path: &Path| hooks.iter().filter(|hook| hook["library"] == path.display().to_string()).count();
    assert_eq!((of(&first), of(&second)), (2, 2), "{hooks:?}");
    let executions =
        scene.agent.metric("inferscope_probe_hits_total", &["hook=\"TRITONBACKEND_ModelInstanceExecute\""]);
    println!("executions on this host: {executions:?}");
    scene.agent.nothing_lost();
}

/// What a streamed response costs the traced program; docs/journal/2026-11-22-triton.md quotes it.
#[test]
#[ignore = "needs root"]
fn a_streamed_response_is_cheap() {
    let mut scene = Scene::start("live-embedded-cost");
    let best = |scene: &mut Scene| (0..5).map(|_| scene.act("stream 20000")).min().unwrap_or(0) as f64 / 20_000.0;
    let watched = best(&mut scene);
    let Scene { agent, program, line, folder } = scene;
    agent.stop().expect("the agent ends");
    let agent = Agent::start(&folder.join("blind"), "engines: {triton: {enabled: false}}\n").expect("an agent");
    let mut scene = Scene { agent, program, line, folder };
    let alone = best(&mut scene);
    println!("a streamed response: {alone:.0} ns alone, {watched:.0} ns watched, {:.0} ns added", watched - alone);
    assert!(watched - alone < 50_000.0, "{watched} ns");
}
