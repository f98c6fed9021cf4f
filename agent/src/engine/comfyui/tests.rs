#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::engine::job::{Millis, News, Outcome, Report, Said, Told};
use crate::engine::{ENGINES, Purpose, Step};
use crate::wire::{Message, ResponseHead, Side};
use proptest::prelude::*;

fn process(argv: &[&str], cwd: &str, beside: &[&str]) -> Process {
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    Process { argv: owned(argv), cwd: cwd.to_owned(), beside: owned(beside), ..Process::default() }
}

#[test]
fn processes() {
    let tree = &["comfy", "comfy_extras", "execution.py", "main.py", "nodes.py", "server.py"][..];
    for (argv, cwd, beside, service) in [
        (&["python", "main.py"][..], "/srv/ComfyUI", tree, Some("comfyui:8188")),
        (&["python3.12", "-u", "/comfyui/main.py", "--listen", "--port", "9"], "/", tree, Some("comfyui:9")),
        (&["/app/.venv/bin/python", "/app/resources/ComfyUI/main.py", "--port=8000"], "/", tree, Some("comfyui:8000")),
        (&["python_embeded/python", "-s", "ComfyUI/main.py"], "/portable", tree, Some("comfyui:8188")),
        // The folder can't be read.
        (&["python", "main.py"], "/srv/ComfyUI", &[], Some("comfyui:8188")),
        (&["python", "/opt/comfyui/main.py"], "/", &[], Some("comfyui:8188")),
        (&["python", "main.py"], "/srv/my-app", &[], None),
        // Not ComfyUI's.
        (&["python", "main.py"], "/srv/ComfyUI", &["main.py", "nodes.py"], None),
        (&["python", "other.py"], "/srv/ComfyUI", tree, None),
        (&["bash", "-c", "python main.py"], "/srv/ComfyUI", tree, None),
        (&["vim", "main.py"], "/srv/ComfyUI", tree, None),
        (&[], "/srv/ComfyUI", tree, None),
    ] {
        let found = Comfyui.matches(&process(argv, cwd, beside));
        assert_eq!(found.and_then(|found| found.service).as_deref(), service, "{argv:?} in {cwd}");
    }
    let found = Comfyui.matches(&process(&["python", "main.py", "--port", "81"], "/", tree)).unwrap();
    assert_eq!((found.role, found.port), (Role::Frontend, Some(81)));
    assert_eq!(found.evidence, "it runs `main.py`, beside which lie `comfy`, `execution.py`, `nodes.py`");
    assert!(ENGINES.iter().any(|engine| engine.name() == "comfyui"));
}

/// Plays an exchange whose bodies come in these pieces.
fn exchange(method: &str, path: &str, ask: &[&str], status: u16, answer: &[&str]) -> Option<Told> {
    let head = RequestHead { method: method.to_owned(), path: path.to_owned(), headers: Vec::new() };
    let mut exchange = Comfyui.open(&head)?;
    assert_eq!(exchange.purpose(), Purpose::Jobs);
    let kind = ("content-type".to_owned(), "application/json; charset=utf-8".to_owned());
    let head = ResponseHead { status, headers: vec![kind] };
    let mut issues = Vec::new();
    let mut play = |message: &Message<'_>| {
        assert_eq!(exchange.interpret(message, &mut issues), Step::Ignore);
    };
    ask.iter().for_each(|piece| play(&Message::Body(Side::Request, piece.as_bytes())));
    play(&Message::End(Side::Request));
    play(&Message::Response(&head));
    answer.iter().for_each(|piece| play(&Message::Body(Side::Response, piece.as_bytes())));
    play(&Message::End(Side::Response));
    assert_eq!(issues, []);
    Some(exchange.told())
}

#[test]
fn a_job_is_handed_over() {
    let ask = r#"{"prompt": {"1": {"class_type": "EmptyImage", "inputs": {"text": "SECRET"}}}}"#;
    let answer = r#"{"prompt_id": "abc", "number": -3, "node_errors": {"7": {"details": "SECRET"}}}"#;
    for path in ["/prompt", "/api/prompt"] {
        let told = exchange("POST", path, &[ask], 200, &[answer]).unwrap();
        assert!(!format!("{told:?}").contains("SECRET"));
        assert_eq!((told.endpoint, told.error), ("prompt", None));
        let News::Submitted(submission) = told.news else { unreachable!() };
        assert_eq!((submission.id.as_str(), submission.number), ("abc", Some(-3.0)));
        assert_eq!(submission.graph.nodes.len(), 1);
    }
}

#[test]
fn a_job_is_refused() {
    let answer = r#"{"error": {"type": "prompt_no_outputs", "message": "SECRET"}, "node_errors": {}}"#;
    let told = exchange("POST", "/prompt", &["{}"], 400, &[answer]).unwrap();
    assert_eq!((told.error.as_deref(), told.news), (Some("prompt_no_outputs"), News::None));
}

#[test]
fn jobs_are_taken_out_of_the_queue() {
    let news = |ask| exchange("POST", "/queue", &[ask], 200, &[]).unwrap().news;
    let ids = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(news(r#"{"delete": ["a", "b"]}"#), News::Removed { ids, all: false });
    assert_eq!(news(r#"{"clear": true}"#), News::Removed { ids: vec![], all: true });
    assert_eq!(exchange("POST", "/queue", &[r#"{"clear": true}"#], 500, &[]).unwrap().news, News::None);
}

const HISTORY: &str = r#"{"abc": {"prompt": [0, "abc", {"1": {"class_type": "A", "inputs": {"text": "SECRET"}}}, {}, ["9"]],
    "outputs": {"9": {"images": [{"filename": "SECRET.png"}, {"filename": "b.png"}], "text": ["SECRET"]}, "11": {"images": [{}]}},
    "status": {"status_str": "success", "completed": true, "messages": [
        ["execution_start", {"prompt_id": "abc", "timestamp": 1700000000100}],
        ["execution_cached", {"nodes": ["1", "2"], "prompt_id": "abc", "timestamp": 1700000000101}],
        ["execution_success", {"prompt_id": "abc", "timestamp": 1700000000350}]]}, "meta": {}},
  "def": {"outputs": {}, "status": {"status_str": "error", "messages": [
        ["execution_start", {"timestamp": 5}],
        ["execution_error", {"exception_message": "SECRET", "exception_type": "ValueError", "timestamp": 7}]]}},
  "odd": {"outputs": {}, "status": null}}"#;

#[test]
fn what_became_of_jobs() {
    let whole = exchange("GET", "/history/abc", &[], 200, &[HISTORY]).unwrap();
    assert!(!format!("{whole:?}").contains("SECRET"));
    let News::Past(past) = &whole.news else { unreachable!() };
    let [abc, def] = past.as_slice() else { unreachable!("{past:?}") };
    assert_eq!((abc.started, abc.ended), (Some(Millis(1_700_000_000_100)), Some(Millis(1_700_000_000_350))));
    assert_eq!((&abc.outcome, abc.cached.as_ref().map(Vec::len)), (&Some(Outcome::Success), Some(2)));
    assert_eq!((abc.images["9"], abc.images["11"]), (2, 1));
    assert_eq!((def.outcome.as_ref(), def.cached.as_ref()), (Some(&Outcome::Error("ValueError".to_owned())), None));
    for at in 0..HISTORY.len() {
        let Some((one, other)) = HISTORY.split_at_checked(at) else { continue };
        assert_eq!(exchange("GET", "/history", &[], 200, &[one, other]).unwrap(), whole, "cut at {at}");
    }
}

#[test]
fn what_else_is_asked_for() {
    for (method, path, endpoint) in [
        ("POST", "/interrupt", Some("interrupt")),
        ("POST", "/api/free", Some("free")),
        ("POST", "/upload/image", Some("upload")),
        ("GET", "/view", Some("view")),
        ("GET", "/queue", Some("queue")),
        ("GET", "/prompt", Some("prompt")),
        ("GET", "/object_info/KSampler", Some("object_info")),
        ("GET", "/", None),
        ("GET", "/viewer.js", None),
        ("GET", "/apiprompt", None),
        ("GET", "/ws", None),
        ("GET", "*", None),
    ] {
        let told = exchange(method, path, &["SECRET, no JSON"; 0], 200, &[r#"{"any": "thing"}"#]);
        assert_eq!(told.as_ref().map(|told| told.endpoint), endpoint, "{path}");
        assert!(told.is_none_or(|told| told.news == News::None));
    }
}

#[test]
fn bodies_that_nobody_reads() {
    let open = |method: &str, path: &str| {
        Comfyui.open(&RequestHead { method: method.to_owned(), path: path.to_owned(), headers: Vec::new() }).unwrap()
    };
    for (method, path, ask, answer) in [
        ("POST", "/prompt", true, true),
        ("POST", "/queue", true, false),
        ("GET", "/history/a", false, true),
        ("POST", "/upload/image", false, false),
        ("GET", "/view", false, false),
    ] {
        let exchange = open(method, path);
        assert_eq!((exchange.reads(Side::Request), exchange.reads(Side::Response)), (ask, answer), "{method} {path}");
    }
}

#[test]
fn the_servers_stamps() {
    let stamp = |text: &str| {
        let (mut stamps, mut issues) = (Vec::new(), Vec::new());
        let message = Said::Text { bytes: text.as_bytes(), total: text.len() as u64 };
        Comfyui.jobs().unwrap().said(&message, &mut issues, &mut |report| match report {
            Report::Started { stamp, .. } | Report::Finished { stamp, .. } => stamps.push(stamp),
            _ => {}
        });
        assert!(issues.is_empty(), "{issues:?}");
        stamps
    };
    let message = |kind: &str| {
        format!(
            r#"{{"type": "{kind}", "data": {{"prompt_id": "abc", "timestamp": 1700000000100, "exception_type": "E"}}}}"#
        )
    };
    for kind in ["execution_start", "execution_success", "execution_error", "execution_interrupted"] {
        assert_eq!(stamp(&message(kind)), [Some(Millis(1_700_000_000_100))], "{kind}");
    }
    assert_eq!(stamp(r#"{"type": "execution_start", "data": {"prompt_id": "abc"}}"#), [None]);
}

/// What a message says.
fn said(text: &[u8]) -> String {
    let (mut said, mut issues) = (Vec::new(), Vec::new());
    let message = Said::Text { bytes: text, total: text.len() as u64 };
    let mut reader = Comfyui.jobs().unwrap();
    reader.said(&message, &mut issues, &mut |report| {
        said.push(match report {
            Report::Queue { remaining } => format!("queue {remaining}"),
            Report::Started { id, stamp: _ } => format!("{id} started"),
            Report::Cached { id, nodes } => format!("{id} cached {}", nodes.join(" ")),
            Report::Node { id, node, shown } => format!("{id} node {node} as {shown}"),
            Report::NoNode { id } => format!("{id} silent"),
            Report::Progress { id, node, value, max } => format!("{id} progress {node} {value}/{max}"),
            Report::Executed { id, node, images } => format!("{id} executed {node} {images}"),
            Report::Finished { id, outcome, stamp: _ } => format!("{id} finished {outcome:?}"),
            other => format!("{other:?}"),
        });
    });
    said.extend(issues.iter().map(|issue| issue.name().to_owned()));
    said.join(", ")
}

#[test]
fn messages() {
    for (text, expected) in [
        (r#"{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 3}}, "sid": "x"}}"#, "queue 3"),
        (r#"{"type": "execution_start", "data": {"prompt_id": "p", "timestamp": 1}}"#, "p started"),
        (r#"{"type": "execution_cached", "data": {"nodes": ["1", "2"], "prompt_id": "p"}}"#, "p cached 1 2"),
        (r#"{"type": "execution_cached", "data": {"nodes": [], "prompt_id": "p"}}"#, "p cached "),
        (r#"{"type": "executing", "data": {"node": "3", "display_node": "7", "prompt_id": "p"}}"#, "p node 3 as 7"),
        (r#"{"type": "executing", "data": {"node": "3", "prompt_id": "p"}}"#, "p node 3 as 3"),
        (r#"{"type": "executing", "data": {"node": null, "prompt_id": "p"}}"#, "p silent"),
        (r#"{"type": "executing", "data": {"node": "3"}}"#, ""),
        (r#"{"type": "progress", "data": {"value": 1, "max": 8, "prompt_id": "p", "node": "3"}}"#, "p progress 3 1/8"),
        (r#"{"type": "progress", "data": {"value": 0.5, "max": 8, "prompt_id": "p", "node": "3"}}"#, ""),
        (
            r#"{"type": "executed", "data": {"node": "9", "output": {"images": [{"filename": "SECRET"}, {}]}, "prompt_id": "p"}}"#,
            "p executed 9 2",
        ),
        (r#"{"type": "executed", "data": {"node": "9", "output": null, "prompt_id": "p"}}"#, "p executed 9 0"),
        (r#"{"type": "execution_success", "data": {"prompt_id": "p"}}"#, "p finished Success"),
        (
            r#"{"type": "execution_error", "data": {"prompt_id": "p", "exception_message": "SECRET", "exception_type": "a.B", "current_inputs": {"text": ["SECRET"]}}}"#,
            "p finished Error(\"a.B\")",
        ),
        (r#"{"type": "execution_error", "data": {"prompt_id": "p", "exception_type": "ExecutionBlocked"}}"#, ""),
        (r#"{"type": "execution_interrupted", "data": {"prompt_id": "p", "node_id": "3"}}"#, "p finished Interrupted"),
        (r#"{"type": "progress_state", "data": {"prompt_id": "p", "nodes": {"3": {"value": 1}}}}"#, ""),
        (r#"{"type": "feature_flags", "data": {}}"#, ""),
        (r#"{"type": "executing", "data": {"node": "3", "prompt"#, ""),
        ("}SECRET", "json_malformed"),
        ("", ""),
    ] {
        assert_eq!(said(text.as_bytes()), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_a_message_is(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        said(&text);
    }
}
