//! Plays calls of Triton's library from a script of one line each, and writes down what comes out.
//!
//! `MICROS CALL OBJECT ARGUMENTS`, for example `30 send p1 final`. An object is a letter and a number: r is a request, f a
//! factory, p a response, i an instance.

use crate::core::{Core, Executed, Input, Options, Output, ProcessChange, Work};
use crate::engine::Role;
use crate::event::{Call, ConnKey, Event, EventKind, Layer, Nanos, Tgid};
use crate::request::Inference;
use crate::request::inference::Answer;
use inferscope_ebpf::Hook;

pub const SERVER: Tgid = Tgid(7);

pub fn started(tgid: Tgid, engine: &str, role: Role, inside: Option<Tgid>) -> Input {
    Input::Process(ProcessChange::Started {
        time: Nanos(0),
        tgid,
        engine: engine.into(),
        service: format!("{engine}:8000").into(),
        root: tgid,
        inside,
        role,
        model: String::new(),
    })
}

/// One line as an event.
pub fn event(line: &str) -> Input {
    let mut words = line.split_whitespace();
    let time = Nanos(words.next().unwrap().parse::<u64>().unwrap() * 1000);
    let (name, object) = (words.next().unwrap(), words.next().unwrap());
    let arguments: Vec<&str> = words.collect();
    let given = |index: usize| arguments.get(index).copied();
    let number = |text: &str| text.parse::<i64>().unwrap() as u64;
    let stamp = |text: &&str| number(text) * 1000;
    let flags = |index| u64::from(given(index) == Some("final"));
    let error = |text: Option<&str>| text.map_or(0, |code| number(code) + 1);
    let nothing = String::new();
    let (hook, words, text) = match name {
        "new" => (Hook::TritonRequestNew, vec![1, number(given(1).unwrap())], given(0).unwrap().to_owned()),
        "id" => (Hook::TritonRequestSetId, vec![], given(0).unwrap().to_owned()),
        "infer" => (Hook::TritonInferAsync, vec![1], nothing),
        "refused" => (Hook::TritonInferAsync, vec![1, error(given(0))], nothing),
        "cancel" => (Hook::TritonRequestCancel, vec![], nothing),
        "delete" => (Hook::TritonRequestDelete, vec![], nothing),
        "execute" => {
            let requests = arguments.iter().map(|name| address(name));
            let words = std::iter::once(arguments.len() as u64).chain(requests).collect();
            (Hook::TritonExecute, words, nothing)
        }
        "unload" => (Hook::TritonInstanceFinalize, vec![], nothing),
        "factory" => (Hook::TritonFactoryNew, vec![address(given(0).unwrap())], nothing),
        "response" => (Hook::TritonResponseNew, vec![address(given(0).unwrap())], nothing),
        // send p1 [more|final] [error code] [factory]
        "send" => {
            let code = given(1).filter(|word| word.parse::<u64>().is_ok());
            let factory = arguments.last().filter(|word| word.starts_with('f') && **word != "final");
            let words = [flags(0), error(code)].into_iter().chain(factory.map(|name| address(name))).collect();
            (Hook::TritonResponseSend, words, nothing)
        }
        "flags" => (Hook::TritonFactorySendFlags, vec![flags(0)], nothing),
        // stats r1 i1 1 BEGIN COMPUTE_BEGIN COMPUTE_END END
        "stats" => {
            let mut words = vec![address(given(0).unwrap()), number(given(1).unwrap())];
            words.extend(arguments.iter().skip(2).map(stamp));
            (Hook::TritonReportStatistics, words, nothing)
        }
        _ => panic!("{line}"),
    };
    let conn = ConnKey { tgid: SERVER, layer: Layer::Call, id: address(object), generation: 0 };
    let kind = EventKind::Call(Call { thread: 70, words, text: text.into_bytes() });
    Input::Kernel(Event { time, conn, hook, midway: false, thread: 0, kind })
}

fn address(name: &str) -> u64 {
    let (kind, number) = name.split_at(1);
    let heap = match kind {
        "r" => 0x7ff0_3000_0000,
        "f" => 0x7ff0_5000_0000,
        "p" => 0x7ff0_7000_0000,
        "i" => 0x7ff0_9000_0000,
        _ => panic!("{name}"),
    };
    heap + number.parse::<u64>().unwrap() * 0x40
}

pub fn inputs(script: &str) -> impl Iterator<Item = Input> {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    std::iter::once(started(SERVER, "triton", Role::Frontend, None)).chain(lines.map(event))
}

/// Everything that comes of the script; the core goes on.
pub fn play(core: &mut Core, inputs: impl Iterator<Item = Input>) -> Vec<Output> {
    let mut out = Vec::new();
    inputs.for_each(|input| core.step(input, &mut out));
    out
}

/// Plays the script to its end and compares, a line for each output.
#[track_caller]
pub fn check(script: &str, expected: &[&str]) {
    let mut core = Core::new(Options::default());
    let mut out = play(&mut core, inputs(script));
    core.finish(Nanos(1_000_000_000), &mut out);
    let lines: Vec<String> = out.iter().map(line).collect();
    assert_eq!(lines, expected, "\n{}", lines.join("\n"));
}

/// An output in one line. Times are microseconds after the arrival.
pub fn line(output: &Output) -> String {
    match output {
        Output::Inference(inference) => inference_line(inference),
        Output::Executed(executed) => {
            let Executed { origin: _, model, instance, work } = &**executed;
            match work {
                Work::Batch(requests) => format!("{model}/{instance} executes {requests}"),
                Work::Took(nanos) => format!("{model}/{instance} took {}", nanos / 1000),
            }
        }
        Output::Issue(issue) => issue.name().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn inference_line(inference: &Inference) -> String {
    let mut line = format!("{} {}", inference.status.name(), inference.model);
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    };
    let micros = |nanos: u64| (nanos / 1000).to_string();
    let offset = |time: Nanos| micros(time.since(inference.arrival));
    let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    say("version", inference.version.map(|version| version.to_string()));
    say("id", word(&inference.id));
    say("fault", inference.fault.map(|fault| fault.name().to_owned()));
    say("quality", Some(inference.quality.name().to_owned()).filter(|quality| quality != "complete"));
    let answer = match inference.answer {
        Answer::Whole => "",
        Answer::WholeOfDecoupled => "whole",
        Answer::Streamed => "streamed",
    };
    say("answer", word(answer));
    say("at", Some(micros(inference.arrival.0)));
    say("batch", inference.batch.map(|batch| batch.to_string()));
    say("instance", inference.instance.map(|instance| instance.to_string()));
    say("queue", inference.queue().map(micros));
    let stages = inference.stages().map(|e| [e.input, e.infer, e.output].map(micros).join("+"));
    say("compute", stages);
    say("first", inference.first_output().map(micros));
    say("responses", Some(inference.responses).filter(|responses| *responses > 0).map(|count| count.to_string()));
    say("gaps", word(&inference.gaps.iter().map(|gap| micros(*gap)).collect::<Vec<_>>().join(",")));
    say("cancelled", inference.cancelled.map(offset));
    say("end", Some(offset(inference.end)));
    say("llm", inference.is_generation().then(|| "yes".to_owned()));
    line
}
