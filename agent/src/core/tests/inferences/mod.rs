//! What the core says of calls of Triton's library. The sequences are those of the real server 2.51.

mod endings;
mod inside;
mod play;
mod random;

use play::check;

/// One request, in one response: made by the front end's thread, answered by the model's.
const WHOLE: &str = "
    100 new r1 echo -1
    105 id r1 h1
    110 infer r1
    150 execute i1 r1
    152 factory f1 r1
    160 response p1 r1
    165 send p1 final
    170 stats r1 i1 1 151 155 163 168
    200 delete r1
";

/// Responses come from other threads, after the execution was reported.
const STREAM: &str = "
    1000 new r1 stream -1
    1010 infer r1
    1050 execute i2 r1
    1052 factory f1 r1
    1060 stats r1 i2 1 1051 1053 1057 1059
    2000 send p1 more f1
    2500 send p2 more f1
    3300 send p1 more f1
    3400 flags f1 final
    3500 delete r1
";

#[test]
fn one_response() {
    check(
        WHOLE,
        &[
            "echo/0 executes 1",
            "echo/0 took 17",
            "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
        ],
    );
}

#[test]
fn a_series_of_responses() {
    check(
        STREAM,
        &[
            "stream/0 executes 1",
            "ok stream answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 first=1000 responses=3 \
             gaps=500,800 end=2400 llm=yes",
        ],
    );
}

#[test]
fn a_batch() {
    check(
        "100 new r1 echo -1
         101 infer r1
         110 new r2 echo 3
         111 infer r2
         200 execute i1 r1 r2
         201 factory f1 r1
         202 factory f2 r2
         301 response p1 r1
         302 response p2 r2
         303 send p1 final
         304 send p2 final
         306 stats r1 i1 1 200 210 290 305
         307 stats r2 i1 1 200 210 290 305
         320 delete r2
         321 delete r1",
        &[
            "echo/0 executes 2",
            "echo/0 took 105",
            "ok echo at=100 batch=2 instance=0 queue=99 compute=10+80+15 responses=1 end=203",
            "ok echo version=3 at=110 batch=2 instance=0 queue=89 compute=10+80+15 responses=1 end=194",
        ],
    );
}

#[test]
fn addresses_are_used_again_at_once() {
    check(
        &format!("{WHOLE}{}", STREAM.replace("i2", "i1")),
        &[
            "echo/0 executes 1",
            "echo/0 took 17",
            "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
            // The model was unloaded, and nobody saw it.
            "stream/0 executes 1",
            "ok stream answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 first=1000 responses=3 \
             gaps=500,800 end=2400 llm=yes",
        ],
    );
}

#[test]
fn responses_come_after_their_request_is_gone() {
    check(
        "100 new r1 stream -1
         101 infer r1
         110 execute i1 r1
         111 factory f1 r1
         115 stats r1 i1 1 110 111 112 113
         116 delete r1
         120 new r1 stream -1
         121 infer r1
         130 send p1 more f1
         140 execute i1 r1
         141 factory f2 r1
         145 stats r1 i1 1 140 141 142 143
         146 delete r1
         150 send p1 more f2
         160 send p2 more f1
         170 flags f1 final
         180 send p1 more f2
         190 flags f2 final",
        &[
            "stream/0 executes 1",
            "stream/0 executes 1",
            "ok stream answer=streamed at=100 batch=1 instance=0 queue=9 compute=1+1+1 first=30 responses=2 gaps=30 \
             end=70 llm=yes",
            "ok stream answer=streamed at=120 batch=1 instance=0 queue=19 compute=1+1+1 first=30 responses=2 gaps=30 \
             end=70 llm=yes",
        ],
    );
}

#[test]
fn a_decoupled_model_may_answer_as_a_whole() {
    check(
        &format!(
            "{STREAM}
             4000 new r1 stream -1
             4010 infer r1
             4050 execute i2 r1
             4052 factory f1 r1
             4060 stats r1 i2 1 4051 4053 4057 4059
             4100 send p1 final f1
             4200 delete r1
             5000 new r1 stream -1
             5010 infer r1
             5050 execute i2 r1
             5052 factory f1 r1
             5060 stats r1 i2 1 5051 5053 5057 5059
             5100 flags f1 final
             5200 delete r1"
        ),
        &[
            "stream/0 executes 1",
            "ok stream answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 first=1000 responses=3 \
             gaps=500,800 end=2400 llm=yes",
            "stream/0 executes 1",
            "ok stream answer=whole at=4000 batch=1 instance=0 queue=41 compute=2+4+2 responses=1 end=100 llm=yes",
            "stream/0 executes 1",
            "ok stream answer=streamed at=5000 batch=1 instance=0 queue=41 compute=2+4+2 end=100 llm=yes",
        ],
    );
}

#[test]
fn a_model_asks_another() {
    check(
        "100 new r1 outer -1
         101 infer r1
         110 execute i1 r1
         120 new r2 echo -1
         121 infer r2
         130 execute i2 r2
         131 response p2 r2
         132 send p2 final
         134 stats r2 i2 1 130 130 131 133
         135 delete r2
         140 response p1 r1
         141 send p1 final
         143 stats r1 i1 1 110 111 140 142
         150 delete r1",
        &[
            "outer/0 executes 1",
            "echo/0 executes 1",
            "echo/0 took 3",
            "ok echo at=120 batch=1 instance=0 queue=9 compute=0+1+2 responses=1 end=12",
            "outer/0 took 32",
            "ok outer at=100 batch=1 instance=0 queue=9 compute=1+29+2 responses=1 end=41",
        ],
    );
}

#[test]
fn a_request_is_executed_again_until_it_is_answered() {
    check(
        "100 new r1 iterative -1
         101 infer r1
         110 execute i1 r1
         115 stats r1 i1 1 110 111 112 113
         120 execute i1 r1
         121 response p1 r1
         122 send p1 final
         125 stats r1 i1 1 120 121 122 123
         130 delete r1",
        &[
            "iterative/0 executes 1",
            "iterative/0 executes 1",
            "ok iterative at=100 batch=1 instance=0 queue=9 compute=1+1+1 responses=1 end=22",
        ],
    );
}

#[test]
fn a_program_uses_its_request_again() {
    check(
        "100 new r1 echo 2
         101 infer r1
         110 execute i1 r1
         111 response p1 r1
         112 send p1 final
         114 stats r1 i1 1 110 111 112 113
         201 infer r1
         210 execute i1 r1
         211 response p1 r1
         212 send p1 final
         214 stats r1 i1 1 210 211 212 213
         300 delete r1",
        &[
            "echo/0 executes 1",
            "echo/0 took 3",
            "ok echo version=2 at=100 batch=1 instance=0 queue=9 compute=1+1+1 responses=1 end=12",
            "echo/0 executes 1",
            "echo/0 took 3",
            "ok echo version=2 at=201 batch=1 instance=0 queue=9 compute=1+1+1 responses=1 end=11",
        ],
    );
}

#[test]
fn a_backend_that_reports_nothing() {
    check(
        "100 new r1 echo -1
         101 infer r1
         110 execute i1 r1
         111 response p1 r1
         112 send p1 final
         130 delete r1",
        &["echo/0 executes 1", "ok echo at=100 batch=1 instance=0 queue=9 responses=1 end=12"],
    );
}

#[test]
fn a_backend_in_another_time() {
    check(
        "100 new r1 echo -1
         101 infer r1
         110 execute i1 r1
         111 response p1 r1
         112 send p1 final
         114 stats r1 i1 1 10 11 12 13
         130 delete r1",
        &[
            "echo/0 executes 1",
            "engine_clock",
            "echo/0 took 3",
            "ok echo at=100 batch=1 instance=0 queue=9 compute=1+1+1 responses=1 end=12",
        ],
    );
}

#[test]
fn an_unloaded_model_gives_its_instances_back() {
    let again = WHOLE.replace("i1", "i5");
    check(
        &format!("{WHOLE}{again}300 unload i1\n{again}").replace("i5", "i3"),
        &[
            "echo/0 executes 1",
            "echo/0 took 17",
            "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
            "echo/1 executes 1",
            "echo/1 took 17",
            "ok echo id=h1 at=100 batch=1 instance=1 queue=41 compute=4+8+5 responses=1 end=65",
            "echo/1 executes 1",
            "echo/1 took 17",
            "ok echo id=h1 at=100 batch=1 instance=1 queue=41 compute=4+8+5 responses=1 end=65",
        ],
    );
}
