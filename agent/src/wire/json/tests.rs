#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

/// `choices.0.delta.content`; keys that match nothing are `?`.
fn steps(path: &Path) -> String {
    let steps: Vec<String> = (0..path.depth())
        .map(|depth| match (path.index(depth), path.key(depth)) {
            (Some(index), _) => index.to_string(),
            (None, Some(key)) => String::from_utf8(key.to_vec()).unwrap(),
            (None, None) => "?".to_owned(),
        })
        .collect();
    steps.join(".")
}

fn show(path: &Path, value: Value<'_>) -> String {
    let value = match value {
        Value::Str { head, len } => format!("{head:?} {len}"),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Null => "null".to_owned(),
        Value::Object => "{}".to_owned(),
        Value::Array => "[]".to_owned(),
    };
    format!("{}={value}", steps(path))
}

fn read(mut reader: Reader, parts: &[&[u8]]) -> Vec<String> {
    let mut said = Vec::new();
    for part in parts {
        if let Err(issue) = reader.push(part, &mut |path, value| said.push(show(path, value))) {
            said.push(format!("!{}", issue.name()));
        }
    }
    said
}

/// Compares, whole, and split at every pair of bytes.
fn check(text: &str, expected: &[&str]) {
    let bytes = text.as_bytes();
    assert_eq!(read(Reader::default(), &[bytes]), expected, "whole: {text}");
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(read(Reader::default(), &parts), expected, "split at {first} and {second}: {text}");
        }
    }
}

#[test]
fn values_and_their_paths() {
    check("{}", &["={}"]);
    check(" [ ] ", &["=[]"]);
    check(r#""a""#, &["=\"a\" 1"]);
    check("12 ", &["=12"]);
    check("[0,-0.5e-1,1E2,120.25]", &["=[]", "0=0", "1=-0.05", "2=100", "3=120.25"]);
    check(
        r#"{"id":"cmpl-1","choices":[{"delta":{"content":""}},{"text":"a"}],"n":-1.5e2,"ok":true,"no":false,"u":null}"#,
        &[
            "={}",
            "id=\"cmpl-1\" 6",
            "choices=[]",
            "choices.0={}",
            "choices.0.delta={}",
            "choices.0.delta.content=\"\" 0",
            "choices.1={}",
            "choices.1.text=\"a\" 1",
            "n=-150",
            "ok=true",
            "no=false",
            "u=null",
        ],
    );
    check("[[1,[2]],{\"a\":{}},3]", &["=[]", "0=[]", "0.0=1", "0.1=[]", "0.1.0=2", "1={}", "1.a={}", "2=3"]);
}

#[test]
fn escapes() {
    check(r#"["\"\\\/\b\f\n\r\t"]"#, &["=[]", "0=\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\t\" 8"]);
    check(r#"["é\u00e9\u20AC\ud83d\ude00😀"]"#, &["=[]", "0=\"éé€😀😀\" 15"]);
    check(r#"{"us\u0061ge":1}"#, &["={}", "usage=1"]);
    // Halves of pairs that stand alone.
    check(r#"["\ud83d"]"#, &["=[]", "0=\"\u{fffd}\" 3"]);
    check(r#"["\ud83dx\ude00"]"#, &["=[]", "0=\"\u{fffd}x\u{fffd}\" 7"]);
    check(r#"["\ud83d\ud83d\ude00\n"]"#, &["=[]", "0=\"\u{fffd}😀\\n\" 8"]);
}

#[test]
fn a_string_is_held_to_a_bound_in_whole_characters() {
    for (text, head, len) in [
        ("x".repeat(1000), "x".repeat(128), 1000),
        (format!("{}é", "x".repeat(127)), "x".repeat(127), 129),
        (format!("{}\\u00e9y", "x".repeat(127)), "x".repeat(127), 130),
        (format!("{}\\ud83d\\ude00", "x".repeat(124)), format!("{}😀", "x".repeat(124)), 128),
    ] {
        let expected = ["=[]".to_owned(), format!("0={head:?} {len}")];
        for size in [1, 7, 64, 2000] {
            let text = format!("[\"{text}\"]");
            let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(read(Reader::default(), &parts), expected);
        }
    }
    assert_eq!(read(Reader::default(), &[b"[\"ab\xff\xfecd\"]"]), ["=[]", "0=\"ab\" 6"]);
}

#[test]
fn keys_and_numbers_have_bounds() {
    let (key, digits) = ("k".repeat(129), "1".repeat(129));
    check(&format!("{{\"{key}\":{{\"a\":1}}}}"), &["={}", "?={}", "?.a=1"]);
    assert_eq!(read(Reader::default(), &[format!("[{digits},2]").as_bytes()]), ["=[]", "1=2"]);
}

#[test]
fn what_is_not_json_is_said_once() {
    for (text, expected) in [
        ("x ", "!json_malformed"),
        ("nul ", "!json_malformed"),
        ("NaN ", "!json_malformed"),
        ("01 ", "!json_malformed"),
        ("-01 ", "!json_malformed"),
        ("+1 ", "!json_malformed"),
        ("1. ", "!json_malformed"),
        ("1.e5 ", "!json_malformed"),
        ("-.5 ", "!json_malformed"),
        ("1e ", "!json_malformed"),
        ("- ", "!json_malformed"),
        ("-inf ", "!json_malformed"),
        ("{,", "={}, !json_malformed"),
        ("{1", "={}, !json_malformed"),
        ("{\"a\",", "={}, !json_malformed"),
        ("{\"a\":}", "={}, !json_malformed"),
        ("{\"a\":1]", "={}, a=1, !json_malformed"),
        ("{\"a\":1,}", "={}, a=1, !json_malformed"),
        ("[1,]", "=[], 0=1, !json_malformed"),
        ("[1 2]", "=[], 0=1, !json_malformed"),
        ("{} {}", "={}, !json_malformed"),
        ("[\"\\x\"]", "=[], !json_malformed"),
        ("[\"\\u12g4\"]", "=[], !json_malformed"),
    ] {
        let parts = [text.as_bytes(), b"[1]", b"\xff"];
        assert_eq!(read(Reader::default(), &parts).join(", "), expected, "{text}");
    }
    let deep = "[".repeat(65);
    let said = read(Reader::default(), &[deep.as_bytes()]);
    assert_eq!((said.len(), said[64].as_str()), (65, "!json_too_deep"));
    check(
        &"[".repeat(64),
        &read(Reader::default(), &[&deep.as_bytes()[..64]]).iter().map(String::as_str).collect::<Vec<_>>(),
    );
}

#[test]
fn complete_or_not() {
    for (text, complete) in [("{}", true), ("{} \n", true), ("{", false), ("12", false), ("12\n", true), ("{}x", false)]
    {
        let mut reader = Reader::default();
        let _ = reader.push(text.as_bytes(), &mut |_, _| {});
        assert_eq!(reader.is_complete(), complete, "{text}");
    }
    let mut reader = Reader::with_fragments(&["usage"]);
    reader.elide();
    reader.push(b"{\"usage\":{}}", &mut |_, _| {}).unwrap();
    assert!(!reader.is_complete());
}

/// Compares what is found in `text` behind missing bytes, split at every byte.
fn check_fragments(text: &str, expected: &[&str]) {
    for at in 0..=text.len() {
        let mut reader = Reader::with_fragments(&["usage", "error"]);
        reader.push(b"{\"id\":\"begins like th", &mut |_, _| {}).unwrap();
        reader.elide();
        let (left, right) = text.as_bytes().split_at(at);
        assert_eq!(read(reader, &[left, right]), expected, "split at {at}: {text}");
    }
}

#[test]
fn fragments_behind_missing_bytes() {
    let usage = &["usage={}", "usage.completion_tokens=7", "usage.d={}", "usage.d.n=1"][..];
    let object = r#"{"completion_tokens":7,"d":{"n":1}}"#;
    check_fragments(&format!(r#"of text"}}],"usage":{object}}}"#), usage);
    check_fragments(&format!("of text\"}}],\n  \"usage\" : {object},\"x\":1}}"), usage);
    check_fragments(&format!(r#"","logprobs":null}}],"usage":{object}}}"#), usage);
    // The text ends like the place before a key.
    check_fragments(&format!(r#"of text, ","usage":{object}}}"#), usage);
    check_fragments(
        &format!(r#"x","y":{{"usage":{object}}},"error":{{"a":1}}}}"#),
        &[usage, &["error={}", "error.a=1"]].concat(),
    );
    // Text that looks like it.
    check_fragments(r#"he said \"usage\":{\"completion_tokens\":7} and ,\"usage\":{"#, &[]);
    check_fragments(r#"usage":{"completion_tokens":7}}"#, &[]);
    // Not an object, another key.
    check_fragments(r#"","usage":null,"usages":{},"usage":[{}],"a":"usage"}"#, &[]);
    check_fragments("", &[]);
}

#[test]
fn missing_bytes_end_a_fragment() {
    let mut reader = Reader::with_fragments(&["usage"]);
    let mut said = Vec::new();
    reader.elide();
    reader.push(b",\"usage\":{\"a\":1,\"b", &mut |path, value| said.push(show(path, value))).unwrap();
    reader.elide();
    reader.push(b"\":2},\"usage\":{\"c\":3}", &mut |path, value| said.push(show(path, value))).unwrap();
    assert_eq!(said, ["usage={}", "usage.a=1", "usage={}", "usage.c=3"]);
}

/// What the reader must say of a document, by another reader of JSON.
fn flatten(value: &serde_json::Value, path: &str, all: &mut Vec<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        serde_json::Value::Null => all.push(format!("{path}=null")),
        serde_json::Value::Bool(bool) => all.push(format!("{path}={bool}")),
        serde_json::Value::Number(number) => all.push(format!("{path}={}", number.as_f64().unwrap())),
        serde_json::Value::String(text) => {
            let head = &text[..text.floor_char_boundary(128)];
            all.push(format!("{path}={head:?} {}", text.len()));
        }
        serde_json::Value::Array(items) => {
            all.push(format!("{path}=[]"));
            for (index, item) in items.iter().enumerate() {
                flatten(item, &below(&index.to_string()), all);
            }
        }
        serde_json::Value::Object(members) => {
            all.push(format!("{path}={{}}"));
            for (key, member) in members {
                flatten(member, &below(if key.len() > 128 { "?" } else { key }), all);
            }
        }
    }
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof!["[a-z]{1,9}", "\\PC{0,40}", "[\\x00-\\x7f]{0,300}"];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        (-1e9..1e9).prop_map(serde_json::Value::from),
        text.clone().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z\u{e9}\"\\\\]{1,9}", inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Cuts `bytes` at places drawn at random.
fn split<'b>(bytes: &'b [u8], cuts: &[u16]) -> Vec<&'b [u8]> {
    let (mut rest, mut parts) = (bytes, Vec::new());
    for at in cuts {
        let (part, behind) = rest.split_at(usize::from(*at) % (rest.len() + 1));
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

proptest! {
    #[test]
    fn says_what_serde_json_says(document in document(), pretty in any::<bool>(), cuts in proptest::collection::vec(any::<u16>(), 0..9)) {
        let mut text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        text.push('\n');
        let mut expected = Vec::new();
        flatten(&document, "", &mut expected);
        prop_assert_eq!(read(Reader::default(), &split(text.as_bytes(), &cuts)), expected);
    }

    #[test]
    fn finds_a_fragment_behind_any_hole(text in "\\PC{0,60}", tokens in any::<u32>(), hole in any::<u16>()) {
        let document = format!("{{\"text\":{},\"usage\":{{\"n\":{tokens}}}}}", serde_json::Value::from(text));
        let usage = document.rfind(",\"usage\"").unwrap();
        let mut reader = Reader::with_fragments(&["usage"]);
        reader.elide();
        let behind = &document.as_bytes()[usize::from(hole) % (usage + 1)..];
        prop_assert_eq!(read(reader, &[behind]), ["usage={}".to_owned(), format!("usage.n={tokens}")]);
    }

    #[test]
    fn nothing_panics(
        parts in proptest::collection::vec((proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"{}[]\",:\\u0t1 ".to_vec())], 0..60), any::<bool>()), 0..10),
    ) {
        let mut reader = Reader::with_fragments(&["", "u"]);
        for (part, elide) in parts {
            let _ = reader.push(&part, &mut |path, value| { show(path, value); });
            if elide {
                reader.elide();
            }
        }
    }
}
