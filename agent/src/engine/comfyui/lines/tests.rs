use super::*;
use proptest::prelude::*;

/// What the lines say, one word each.
fn said(lines: &[&str]) -> Vec<String> {
    let (mut reader, mut said) = (Lines::default(), Vec::new());
    for line in lines {
        reader.read(line.as_bytes(), &mut |report| {
            said.push(match report {
                Report::Worked(lasted) => format!("worked {}..{}", lasted.least, lasted.most),
                Report::Failed(Outcome::Error(kind)) => format!("failed {kind}"),
                Report::Failed(outcome) => format!("{outcome:?}"),
                Report::Bar { value, max } => format!("{value}/{max}"),
                other => format!("{other:?}"),
            });
        });
    }
    said
}

#[test]
fn how_long_it_took() {
    for (line, expected) in [
        ("Prompt executed in 0.16 seconds", Some("worked 155000000..165000000")),
        ("Prompt executed in 0.00 seconds", Some("worked 0..5000000")),
        ("Prompt executed in 599.99 seconds", Some("worked 599985000000..599995000000")),
        ("Prompt executed in 00:10:01", Some("worked 601000000000..602000000000")),
        ("Prompt executed in 23:59:59", Some("worked 86399000000000..86400000000000")),
        ("Prompt executed in 0.1 seconds", None),
        ("Prompt executed in a second", None),
        ("Prompt executed in 99999999999999999999.00 seconds", None),
        ("Prompt executed in 1:2:3:4", None),
        ("Prompt executed in ", None),
        ("User said: Prompt executed in 0.16 seconds", None),
    ] {
        assert_eq!(said(&[line]).first().map(String::as_str), expected, "{line}");
    }
}

#[test]
fn bars_of_samplers() {
    for (line, expected) in [
        (" 12%|#2        | 1/8 [00:00<00:06,  1.00it/s]", Some("1/8")),
        ("  0%|          | 0/8 [00:00<?, ?it/s]", Some("0/8")),
        ("100%|██████████| 20/20 [00:42<00:00,  2.12s/it]", Some("20/20")),
        ("100%|##########| 8/8 [00:00<00:00, 63.15it/s]   ", Some("8/8")),
        ("Volume Decoding:  12%|#2        | 1/8 [00:00<00:06,  1.00it/s]", None),
        ("model.safetensors:  12%|#2        | 1.2G/4.0G [00:10<00:06, 100MB/s]", None),
        (" 12%|#2        | 1/8 [00:00<00:06,  1.00B/s]", None),
        (" 12%|#2        | 1.5/8 [00:00<00:06,  1.00it/s]", None),
        ("1it [00:00, 5.00it/s]", None),
        ("got prompt", None),
        ("", None),
    ] {
        assert_eq!(said(&[line]).first().map(String::as_str), expected, "{line}");
    }
}

#[test]
fn models() {
    let lines = [
        "Requested to load SD1ClipModel",
        "loaded completely 9.5367431640625e+25 235.84423828125 True",
        "Requested to load BaseModel",
        "loaded partially; 1.00 MB usable, 2.00 MB loaded, 3.00 MB offloaded, 0.00 MB buffer reserved, lowvram patches: 0",
        "model weight dtype torch.float32, manual cast: None",
    ];
    assert_eq!(said(&lines), ["Loading", "Loaded", "Loading", "Loaded"]);
}

#[test]
fn exceptions_by_their_type() {
    let traceback = |last: &'static str| {
        let head = ["!!! Exception during processing !!! SECRET", "Traceback (most recent call last):"];
        let frames = ["  File \"execution.py\", line 515, in execute", "    output_data = SECRET", "", "    ^^^^^"];
        let tail = [last, "SECRET: more of the message", "", "Prompt executed in 0.10 seconds"];
        head.into_iter().chain(frames).chain(tail).collect::<Vec<_>>()
    };
    for (last, kind) in [
        ("ValueError: SECRET", "failed ValueError"),
        ("torch.OutOfMemoryError: Allocation on device SECRET", "failed torch.OutOfMemoryError"),
        ("KeyboardInterrupt", "failed KeyboardInterrupt"),
    ] {
        let said = said(&traceback(last));
        assert_eq!(said, ["failed ", kind, "worked 95000000..105000000"]);
    }
    assert_eq!(said(&traceback("no type at all: SECRET")), ["failed ", "worked 95000000..105000000"]);
}

#[test]
fn of_chained_exceptions_the_last() {
    let said = said(&[
        "!!! Exception during processing !!! x",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1",
        "KeyError: 'x'",
        "",
        "The above exception was the direct cause of the following exception:",
        "",
        "Traceback (most recent call last):",
        "  File \"b.py\", line 2",
        "RuntimeError: y",
        "Got an OOM, unloading all loaded models.",
    ]);
    assert_eq!(said, ["failed ", "failed KeyError", "failed RuntimeError"]);
}

#[test]
fn a_traceback_of_something_else_is_not_a_jobs() {
    assert_eq!(said(&["Traceback (most recent call last):", "  File \"a.py\"", "OSError: no web page"]), [""; 0]);
}

#[test]
fn other_lines() {
    assert_eq!(said(&["Starting server", "Starting server of mine", "got prompt"]), ["Listening"]);
    assert_eq!(said(&["Processing interrupted"]), ["Interrupted"]);
}

proptest! {
    #[test]
    fn whatever_comes(lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..8)) {
        let mut reader = Lines::default();
        lines.iter().for_each(|line| reader.read(line, &mut |_| {}));
    }

    #[test]
    fn no_message_of_an_exception_is_kept(message in "[A-Z ]{20,40}") {
        let lines = [
            format!("!!! Exception during processing !!! {message}"),
            "Traceback (most recent call last):".to_owned(),
            format!("    {message}"),
            format!("a.B: {message}"),
            message.clone(),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        prop_assert!(said(&lines).iter().all(|said| !said.contains(&message)));
    }
}
