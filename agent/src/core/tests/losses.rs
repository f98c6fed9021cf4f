//! What is not seen: connections joined midway, lost events, bytes that were not copied.

use super::scene::*;
use crate::event::Direction;

/// A request that is seen whole, after whatever was before.
fn whole_request() -> [(u64, Act); 2] {
    [(1000, read(post(CHAT, ASK))), (1100, write(whole("200 OK", "{}")))]
}
const WHOLE: &str = "ok 200 chat model=tiny at=1000 received=0 headers=100 end=100";

#[test]
fn answers_whose_requests_were_not_seen_are_counted_once() {
    const JOINED: &str = "ok 0 other quality=joined_midway at=100 end=110";
    #[rustfmt::skip]
    let cases: &[(&str, Script, &[&str])] = &[
        ("a stream under way", vec![(100, write(token(0, "a"))), (105, write(token(0, "b"))), (107, write(DONE)), (110, write(END))],
         &[JOINED, WHOLE]),
        ("its end in the call of its last event", vec![(100, write(token(0, "a"))), (110, write(format!("{DONE}{END}")))],
         &[JOINED, WHOLE]),
        ("its end is not recognised", vec![(100, write(token(0, "a"))), (110, write("rest of an event"))],
         &["ok 0 other quality=joined_midway at=100 end=900", WHOLE]),
        ("a stream seen from its head", vec![(100, write(STREAM)), (105, write(token(0, "a"))), (110, write(END))],
         &["ok 200 other quality=joined_midway stream=yes at=100 headers=0 end=10", WHOLE]),
        ("it may have been a health check", vec![(100, write(whole("200 OK", "{}")))], &[WHOLE]),
        ("nothing but its end", vec![(100, write(END))], &[WHOLE]),
        ("the rest of a request", vec![(100, read("\"max_tokens\":4}"))], &[WHOLE]),
    ];
    for (name, before, expected) in cases {
        let acts: Vec<_> = before.iter().cloned().chain(whole_request()).collect();
        let lines: Vec<_> = play(MIDWAY, &acts).iter().map(line).collect();
        let expected: Vec<_> = expected.iter().map(|line| line.replace("end=110", "end=10")).collect();
        assert_eq!(lines, expected, "{name}");
    }
    let gone = [(100, write(token(0, "a"))), (120, Act::Eof), (130, Act::Closed)];
    check(MIDWAY, &gone, &["cancelled 0 other quality=joined_midway at=100 end=20"]);
}

#[test]
fn a_connection_whose_first_event_was_lost_is_joined_midway() {
    let [request, answer] = whole_request();
    check(SOCKET, &[(0, Act::Lost(Direction::Read, 300)), request, answer], &[WHOLE]);
}

#[test]
fn lost_events_take_the_latency_and_nothing_else() {
    let begin = [(0, read(post(CHAT, ASK))), (10, write(STREAM)), (100, write(delta(r#"{"content":"a"}"#, "null")))];
    let rest = [(200, write(delta(r#"{"content":"b"}"#, "null"))), (210, write(DONE)), (220, write(END))];
    const CUT: &str = "unknown 200 chat quality=gap stream=yes model=tiny id=chatcmpl-1 at=0 received=0 headers=10 \
                       event=100 first=100 last=100 end=200 events=1";
    let lost = |direction| {
        let acts = begin.iter().cloned().chain([(150, Act::Lost(direction, 200))]).chain(rest.clone());
        acts.chain(whole_request()).collect::<Vec<_>>()
    };
    check(SOCKET, &lost(Direction::Write), &[CUT, "stream_gap", WHOLE]);
    // A loss in what the client sent shows with its next request; the answer before was whole.
    let answered = "ok 200 chat stream=yes model=tiny id=chatcmpl-1 at=0 received=0 headers=10 event=100 first=100 \
                    last=200 end=220 events=2 gaps=100";
    check(SOCKET, &lost(Direction::Read), &[answered, "stream_gap", WHOLE]);
}

#[test]
fn an_answer_after_a_loss_does_not_meet_the_next_request() {
    // The end of the first answer and the second exchange's head are lost; the second body must not meet the third.
    check(
        SOCKET,
        &[
            (0, read(post(CHAT, ASK))),
            (10, write(STREAM)),
            (20, Act::Lost(Direction::Write, 500)),
            (30, read(post(COMPLETIONS, ASK))),
            (40, Act::Lost(Direction::Write, 100)),
            (50, write(token(0, "b"))),
            (60, write(END)),
            (1000, read(post(CHAT, ASK))),
            (1100, write(whole("200 OK", "{}"))),
        ],
        &[
            "unknown 200 chat quality=gap stream=yes model=tiny at=0 received=0 headers=10 end=50",
            "unknown 0 text_completion quality=gap model=tiny at=30 received=0 end=20",
            "stream_gap",
            WHOLE,
        ],
    );
}

#[test]
fn a_long_answer_is_read_at_both_ends() {
    let head = whole("200 OK", "");
    let body_start = r#"{"model":"e","data":[{"embedding":[0.25,"#;
    let tail = r#"1]}],"usage":{"prompt_tokens":9,"total_tokens":9}}"#;
    let length = body_start.len() + 4000 + tail.len();
    let head = head.replace("content-length: 0", &format!("content-length: {length}"));
    check(
        SOCKET,
        &[(0, read(post("/v1/embeddings", ASK))), (10, Act::WriteElided(head + body_start, 4000, tail.into()))],
        &["ok 200 embeddings model=e at=0 received=0 headers=10 end=10 prompt=9"],
    );
}

#[test]
fn an_event_that_was_not_copied_is_a_gap() {
    let token = token(0, &"x".repeat(400));
    let (head, rest) = token.split_at(60);
    let (hole, tail) = rest.split_at(300);
    check(
        SOCKET,
        &[
            (0, read(post(COMPLETIONS, ASK))),
            (10, write(STREAM)),
            (20, Act::WriteElided(head.into(), hole.len() as u64, tail.into())),
            (30, write(super::scene::token(0, "b"))),
            (40, write(END)),
        ],
        &["ok 200 text_completion quality=gap stream=yes model=tiny id=cmpl-9b at=0 received=0 headers=10 event=30 \
           first=30 last=30 end=40 events=1"],
    );
}
