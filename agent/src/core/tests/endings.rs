//! Requests that end early.

use super::scene::*;
use crate::core::{Core, Input, Options, ProcessChange};
use crate::event::{ConnKey, Direction, Layer, Nanos};

const RUNNING: &str = "stream=yes model=tiny id=cmpl-9b at=0 received=0 headers=10 event=100 first=100";

/// A stream of two tokens, then `rest`.
fn stream(rest: &[(u64, Act)]) -> Vec<(u64, Act)> {
    let mut acts = vec![
        (0, read(post(COMPLETIONS, ASK))),
        (10, write(STREAM)),
        (100, write(token(0, "a"))),
        (150, write(token(0, "b"))),
    ];
    acts.extend_from_slice(rest);
    acts
}

#[test]
fn who_goes_first_decides() {
    let tail = || write(format!("{DONE}{END}"));
    #[rustfmt::skip]
    let cases: &[(&str, Wire, Script, &str)] = &[
        ("the client hangs up", SOCKET, vec![(170, Act::Eof), (190, Act::Closed)], "cancelled 200 end=170"),
        ("it hangs up, an event is still written", SOCKET,
         vec![(170, Act::Eof), (180, Act::Failed(Direction::Write, 32)), (190, Act::Closed)], "cancelled 200 end=170"),
        ("it resets", SOCKET, vec![(175, Act::Failed(Direction::Read, 104)), (190, Act::Closed)], "cancelled 200 end=175"),
        ("its end shows in a write", SOCKET,
         vec![(177, Act::Failed(Direction::Write, 32)), (190, Act::Closed)], "cancelled 200 end=177"),
        ("it shuts its side down and reads on", SOCKET, vec![(160, Act::Eof), (200, tail())], "ok 200 end=200"),
        ("it leaves after the last word", SOCKET,
         vec![(180, write(DONE)), (185, Act::Eof), (190, Act::Closed)], "ok 200 end=180"),
        ("the server hangs up", SOCKET, vec![(190, Act::Closed)], "error 200 end=190"),
        ("another failure says nothing", SOCKET,
         vec![(170, Act::Failed(Direction::Read, 4)), (190, Act::Closed)], "error 200 end=190"),
        ("TLS does not say who", TLS, vec![(190, Act::Closed)], "cancelled 200 end=190"),
        ("TLS, after the last word", TLS, vec![(180, write(DONE)), (190, Act::Closed)], "ok 200 end=180"),
        ("nobody", SOCKET, vec![], "unknown 200 quality=truncated end=9000000"),
    ];
    for (name, wire, rest, expected) in cases {
        let lines: Vec<String> = play(*wire, &stream(rest)).iter().map(line).collect();
        let (before, end) = expected.split_once(" end").unwrap();
        let (verdict, quality) = before
            .split_once(" quality")
            .map_or((before, String::new()), |(verdict, quality)| (verdict, format!(" quality{quality}")));
        let expected = format!("{verdict} text_completion{quality} {RUNNING} last=150 end{end} events=2 gaps=50");
        assert_eq!(lines, [expected], "{name}");
    }
}

#[test]
fn a_request_may_end_without_any_answer() {
    let asked = (0, read(post(CHAT, ASK)));
    check(
        SOCKET,
        &[asked.clone(), (50, Act::Eof), (60, Act::Closed)],
        &["cancelled 0 chat model=tiny at=0 received=0 end=50"],
    );
    check(SOCKET, &[asked, (60, Act::Closed)], &["error 0 chat model=tiny at=0 received=0 end=60"]);
}

#[test]
fn a_body_may_end_with_its_connection() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\r\n";
    check(
        SOCKET,
        &[
            (0, read(post("/v1/score", ASK))),
            (30, write(head)),
            (40, write(r#"{"usage":{"prompt_tokens":5}}"#)),
            (50, Act::Closed),
        ],
        &["ok 200 score model=tiny at=0 received=0 headers=30 end=50 prompt=5"],
    );
}

#[test]
fn a_process_takes_its_requests_along() {
    let mut player = Player::default();
    let mut inputs = vec![started()];
    for (micros, act) in stream(&[]) {
        inputs.extend(player.play(SOCKET, micros, &act));
    }
    inputs.push(Input::Process(ProcessChange::Ended { time: Nanos(500_000), tgid: SERVER }));
    // A process that nobody named is not read.
    inputs.extend(player.play(SOCKET, 600, &read(post(CHAT, ASK))));
    // The server is back, and accepts on the same descriptor.
    inputs.push(started());
    let again = Wire { key: ConnKey { generation: 2, ..SOCKET.key }, ..SOCKET };
    inputs.extend(player.play(again, 700, &read(post(CHAT, ASK))));
    inputs.extend(player.play(again, 800, &write(whole("200 OK", "{}"))));
    let lines: Vec<_> = step_all(Core::new(Options::default()), inputs).iter().map(line).collect();
    let expected = [
        format!("unknown 200 text_completion quality=truncated {RUNNING} last=150 end=500 events=2 gaps=50"),
        "ok 200 chat model=tiny at=700 received=0 headers=100 end=100".to_owned(),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_new_use_of_a_descriptor_ends_the_old_one() {
    let mut player = Player::default();
    let mut inputs = vec![started()];
    inputs.extend(player.play(SOCKET, 0, &read(post(CHAT, ASK))));
    let again = Wire { key: ConnKey { generation: 2, ..SOCKET.key }, ..SOCKET };
    inputs.extend(player.play(again, 700, &read(post(CHAT, ASK))));
    inputs.extend(player.play(again, 800, &write(whole("200 OK", "{}"))));
    let lines: Vec<_> = step_all(Core::new(Options::default()), inputs).iter().map(line).collect();
    let expected = [
        "unknown 0 chat quality=truncated model=tiny at=0 received=0 end=700",
        "ok 200 chat model=tiny at=700 received=0 headers=100 end=100",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_full_core_forgets_the_connection_idle_longest() {
    let mut player = Player::default();
    let mut inputs = vec![started()];
    for (id, micros) in [(1, 0), (2, 10), (1, 20), (3, 30)] {
        let wire = Wire { key: ConnKey { id, layer: Layer::Socket, ..SOCKET.key }, ..SOCKET };
        inputs.extend(player.play(wire, micros, &read(post(CHAT, ASK))));
    }
    let mut core = Core::new(Options { connections: 2, ..Options::default() });
    let mut out = Vec::new();
    inputs.into_iter().for_each(|input| core.step(input, &mut out));
    let lines: Vec<_> = out.iter().map(line).collect();
    assert_eq!(
        lines,
        ["connections_over_bound", "unknown 0 chat quality=truncated model=tiny at=10 received=0 end=20"]
    );
    let view = core.view();
    assert_eq!(view.connections, 2);
    let running: Vec<_> = view.running.iter().map(|(key, count)| (key.model.as_str(), key.tgid, *count)).collect();
    assert_eq!(running, [("tiny", SERVER, 3)], "two on the first connection, one on the third");
}

#[test]
fn too_many_pipelined_requests_end_the_reading() {
    let lines: Vec<_> = play(SOCKET, &[(0, read(post(CHAT, "{}").repeat(65))), (10, read(post(CHAT, "{}")))])
        .iter()
        .map(line)
        .collect();
    assert_eq!(lines.iter().filter(|line| line.contains("quality=truncated")).count(), 64);
    assert_eq!(lines.iter().filter(|line| *line == "requests_over_bound").count(), 1);
    assert!(lines.iter().any(|line| line == "Write Off"));
}
