//! What a record must say of a request that its client saw.

use inferscope_tests::load::Seen;
use serde_json::{Value, json};

/// Each request of the clients has one complete record, and there are no others.
pub fn same_requests(records: &[Value], seen: &[Seen]) {
    assert_eq!(records.len(), seen.len());
    for seen in seen {
        assert_eq!((seen.status, &seen.error), (Some(200), &None));
        let record = record_of(records, seen).unwrap_or_else(|| panic!("no record of {seen:?}"));
        same_request(record, seen);
    }
}

/// The record of a request, by the response's id.
pub fn record_of<'r>(records: &'r [Value], seen: &Seen) -> Option<&'r Value> {
    records.iter().find(|record| record["id"].as_str() == seen.id.as_deref())
}

/// A complete record of a streamed or whole answer.
pub fn same_request(record: &Value, seen: &Seen) {
    complete(record);
    assert_eq!(record["completion_tokens"], json!(seen.completion_tokens), "{record}");
    assert_eq!(record["prompt_tokens"], json!(seen.prompt_tokens), "{record}");
    assert_eq!(record["content_events"], seen.content_ns.len(), "{record}");
    assert_eq!(record["stream"], !seen.content_ns.is_empty(), "{record}");
    let gaps = seen.content_ns.len().saturating_sub(1);
    assert_eq!(record["gaps_us"].as_array().map(Vec::len), Some(gaps), "{record}");
    // What comes first at one side comes first at the other, however busy the machine is.
    assert!(arrival(record) >= seen.sent_ns, "{record} {seen:?}");
    assert!(
        moment(record, "first_content_us") <= seen.content_ns.get(1).copied().or(Some(u64::MAX)),
        "{record} {seen:?}"
    );
    assert!(moment(record, "last_content_us") <= Some(seen.end_ns), "{record} {seen:?}");
}

/// The median difference of the times to first token is below 50 ms: no single late wake-up fails a test.
pub fn same_first_tokens(records: &[Value], seen: &[Seen]) {
    let difference = |seen: &Seen| {
        let ours = record_of(records, seen)?["first_content_us"].as_f64()? / 1000.0;
        let theirs = (seen.first_content_ns()? - seen.sent_ns) as f64 / 1e6;
        Some((ours - theirs).abs())
    };
    let mut differences: Vec<_> = seen.iter().filter_map(difference).collect();
    differences.sort_by(f64::total_cmp);
    assert_eq!(differences.len(), seen.len());
    assert!(differences[differences.len() / 2] < 50.0, "ms: {differences:?}");
}

/// Answered, seen whole, with times in their order.
pub fn complete(record: &Value) {
    assert_eq!(
        (&record["code"], &record["status"], &record["quality"]),
        (&json!(200), &json!("ok"), &json!("complete"))
    );
    let order = ["headers_us", "first_event_us", "first_content_us", "last_content_us", "end_us"];
    let moments: Vec<_> = order.iter().filter_map(|name| record[name].as_f64()).collect();
    assert!(moments.is_sorted() && moments.first().is_some_and(|first| *first > 0.0), "{record}");
}

fn arrival(record: &Value) -> u64 {
    record["arrival_ns"].as_u64().expect("every record has an arrival")
}

fn moment(record: &Value, name: &str) -> Option<u64> {
    Some(arrival(record) + (record[name].as_f64()? * 1000.0).round() as u64)
}
