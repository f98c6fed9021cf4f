//! Requests that are answered.

use super::scene::*;

#[test]
fn a_streamed_completion() {
    check(
        SOCKET,
        &[
            (100, read(post(COMPLETIONS, ASK))),
            (150, write(STREAM)),
            (1100, write(token(0, "He"))),
            (1300, write(token(0, ""))),
            (1600, write(token(0, "llo"))),
            (1650, write(usage(4, 3))),
            (1660, write(DONE)),
            (1670, write(END)),
            (1900, Act::Eof),
            (1950, Act::Closed),
        ],
        &[
            "ok 200 text_completion stream=yes model=tiny id=cmpl-9b at=100 received=0 headers=50 event=1000 first=1000 \
           last=1500 end=1570 events=3 gaps=200,300 prompt=4 completion=3",
        ],
    );
}

#[test]
fn the_role_of_a_chat_is_not_its_first_token() {
    check(
        SOCKET,
        &[
            (0, read(post(CHAT, r#"{"messages":[{"role":"user","content":"canary"}],"stream":true,"model":"m"}"#))),
            (10, write(STREAM)),
            (500, write(delta(r#"{"role":"assistant","content":""}"#, "null"))),
            (700, write(delta(r#"{"content":"Hi"}"#, "null"))),
            (900, write(delta(r#"{"content":""}"#, "\"length\""))),
            (910, write(format!("{DONE}{END}"))),
        ],
        &["ok 200 chat stream=yes model=tiny id=chatcmpl-1 at=0 received=0 headers=10 event=500 first=700 last=900 \
           end=910 events=2 gaps=200 finish=length"],
    );
}

#[test]
fn the_rust_front_end_sends_several_events_in_one_call() {
    let first = delta(r#"{"role":"assistant","content":""}"#, "null") + &delta(r#"{"content":"Hi"}"#, "null");
    let last = delta(r#"{"content":" you"}"#, "null") + &delta(r#"{"content":"!"}"#, "\"stop\"") + DONE + END;
    check(
        SOCKET,
        &[(0, read(post(CHAT, ASK))), (10, write(STREAM)), (500, write(first)), (800, write(last))],
        &["ok 200 chat stream=yes model=tiny id=chatcmpl-1 at=0 received=0 headers=10 event=500 first=500 last=800 \
           end=800 events=3 gaps=300,0 finish=stop"],
    );
}

#[test]
fn an_answer_in_one_piece_has_no_first_token() {
    let body = r#"{"id":"cmpl-2","object":"text_completion","created":1,"model":"tiny","choices":[{"index":0,"text":"canary","logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":4,"total_tokens":20,"completion_tokens":16,"prompt_tokens_details":{"cached_tokens":2}}}"#;
    let answer = whole("200 OK", body);
    let (head, body) = answer.split_at(answer.find("{").unwrap());
    check(
        SOCKET,
        &[(0, read(post(COMPLETIONS, ASK))), (5000, write(head)), (5070, write(body))],
        &["ok 200 text_completion model=tiny id=cmpl-2 at=0 received=0 headers=5000 end=5070 prompt=4 cached=2 \
           completion=16 finish=length"],
    );
}

#[test]
fn each_choice_has_its_own_gaps() {
    check(
        SOCKET,
        &[
            (0, read(post(COMPLETIONS, r#"{"model":"tiny","prompt":"canary","n":2,"stream":true}"#))),
            (10, write(STREAM)),
            (100, write(token(0, "a"))),
            (110, write(token(1, "b"))),
            (200, write(token(1, "c"))),
            (300, write(token(0, "d"))),
            (310, write(DONE)),
            (311, write(END)),
        ],
        &["ok 200 text_completion stream=yes model=tiny id=cmpl-9b at=0 received=0 headers=10 event=100 first=100 \
           last=300 end=311 events=4 gaps=90,200"],
    );
}

#[test]
fn two_requests_on_one_connection_and_a_health_check_between() {
    check(
        SOCKET,
        &[
            (0, read(post(COMPLETIONS, ASK))),
            (10, write(STREAM)),
            (100, write(token(0, "a"))),
            (120, write(format!("{DONE}{END}"))),
            (200, read("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")),
            (210, write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
            (300, read(post("/v1/embeddings", r#"{"model":"e","input":"canary"}"#))),
            (
                400,
                write(whole(
                    "200 OK",
                    r#"{"model":"e","data":[],"usage":{"prompt_tokens":9,"total_tokens":9,"completion_tokens":0}}"#,
                )),
            ),
        ],
        &[
            "ok 200 text_completion stream=yes model=tiny id=cmpl-9b at=0 received=0 headers=10 event=100 first=100 \
             last=100 end=120 events=1",
            "ok 200 embeddings model=e at=300 received=0 headers=100 end=100 prompt=9 completion=0",
        ],
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let body = r#"{"model":"tiny","choices":[]}"#;
    check(
        SOCKET,
        &[
            (0, read(post(COMPLETIONS, ASK) + &post("/v1/rerank", ASK))),
            (100, write(whole("200 OK", body))),
            (300, write(whole("200 OK", body))),
        ],
        &[
            "ok 200 text_completion model=tiny at=0 received=0 headers=100 end=100",
            "ok 200 rerank model=tiny at=0 received=0 headers=300 end=300",
        ],
    );
}

#[test]
fn a_request_begins_with_its_first_byte_and_ends_with_its_last() {
    let request = post(COMPLETIONS, ASK);
    let (a, rest) = request.split_at(3);
    let (b, rest) = rest.split_at(40);
    let (c, d) = rest.split_at(rest.len() - 5);
    check(
        SOCKET,
        &[(100, read(a)), (110, read(b)), (120, read(c)), (150, read(d)), (300, write(whole("200 OK", "{}")))],
        &["ok 200 text_completion model=tiny at=100 received=50 headers=200 end=200"],
    );
}

#[test]
fn refusals_count_with_their_code() {
    let error = r#"{"error":{"message":"canary","type":"NotFoundError","param":"model","code":404}}"#;
    for (status, expected) in [
        ("404 Not Found", "error 404 chat model=tiny at=0 received=0 headers=30 end=30"),
        ("500 Internal Server Error", "error 500 chat model=tiny at=0 received=0 headers=30 end=30"),
    ] {
        check(SOCKET, &[(0, read(post(CHAT, ASK))), (30, write(whole(status, error)))], &[expected]);
    }
}

#[test]
fn a_refusal_may_come_before_the_request_is_complete() {
    let request = post(CHAT, ASK);
    let (head, body) = request.split_at(request.len() - 20);
    check(
        SOCKET,
        &[
            (0, read(head)),
            (10, write(whole("413 Too Large", "{}"))),
            (20, read(body)),
            (30, read(post(COMPLETIONS, ASK))),
            (40, write(whole("200 OK", "{}"))),
        ],
        &[
            "error 413 chat model=tiny at=0 headers=10 end=10",
            "ok 200 text_completion model=tiny at=30 received=0 headers=10 end=10",
        ],
    );
}

#[test]
fn an_error_inside_a_stream_is_an_error() {
    check(
        SOCKET,
        &[
            (0, read(post(COMPLETIONS, ASK))),
            (10, write(STREAM)),
            (100, write(token(0, "a"))),
            (
                200,
                write(event(
                    r#"{"error":{"message":"Internal server error","type":"InternalServerError","code":500}}"#,
                )),
            ),
            (210, write(DONE)),
            (211, write(END)),
        ],
        &["error 200 text_completion stream=yes model=tiny id=cmpl-9b at=0 received=0 headers=10 event=100 first=100 \
           last=100 end=211 events=1"],
    );
}

#[test]
fn a_compressed_stream_has_no_content_times() {
    let head = STREAM.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n");
    check(
        SOCKET,
        &[(0, read(post(CHAT, ASK))), (10, write(head)), (100, write(chunk("\u{1f}gz"))), (110, write(END))],
        &["content_encoded", "ok 200 chat stream=yes model=tiny at=0 received=0 headers=10 end=110"],
    );
}

#[test]
fn clear_text_of_tls_is_read_like_a_socket() {
    check(
        TLS,
        &[
            (100, read(post(COMPLETIONS, ASK))),
            (150, write(STREAM)),
            (1100, write(token(0, "He"))),
            (1600, write(token(0, "llo"))),
            (1660, write(DONE)),
            (1670, write(END)),
            (1950, Act::Closed),
        ],
        &[
            "ok 200 text_completion stream=yes model=tiny id=cmpl-9b at=100 received=0 headers=50 event=1000 first=1000 \
           last=1500 end=1570 events=2 gaps=500",
        ],
    );
}

#[test]
fn connections_that_are_not_ours_are_silenced() {
    const OFF: [&str; 2] = ["Read Off", "Write Off"];
    let tls = "\u{16}\u{3}\u{1}";
    for act in [write(post("/v1/completions", ASK)), read(tls), read("\u{7f}\0\0"), write("220 ready\r\n")] {
        check(SOCKET, &[(0, act.clone()), (10, act)], &OFF);
    }
    check(MIDWAY, &[(0, write("GET /models HTTP/1.1\r\n\r\n")), (9, read("HTTP/1.1 200 OK\r\n\r\n"))], &OFF);
    let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    check(SOCKET, &[(0, read(http2))], &["protocol_unknown", "Read Off", "Write Off"]);
    let log: Vec<_> = (0..40).map(|at| (at, write("INFO: 127.0.0.1 - \"POST /v1/completions\" 200\n"))).collect();
    check(MIDWAY, &log, &OFF);
    check(MIDWAY, log.get(..20).unwrap(), &[]);
}
