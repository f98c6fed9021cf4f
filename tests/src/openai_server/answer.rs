//! What the server says: which request gets which answer, and when each token leaves.

use super::Shared;
use super::http::{self, Request};
use serde_json::{Value, json};
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Tokens of an answer whose request does not say.
const DEFAULT_TOKENS: u64 = 16;

/// Which of the two vocabularies is spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Completion,
    Chat,
}

/// A request that is granted.
struct Job {
    dialect: Dialect,
    id: String,
    model: String,
    choices: u64,
    tokens: u64,
    prompt_tokens: usize,
    token_time: Duration,
}

/// Answers one request.
pub fn answer(stream: &TcpStream, request: &Request, shared: &Shared) -> io::Result<()> {
    let arrival = Instant::now();
    let dialect = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health") => return http::write_json(stream, 200, &json!({})),
        ("GET", "/v1/models") => {
            let models = json!({"object": "list", "data": [{"id": shared.options.model, "object": "model"}]});
            return http::write_json(stream, 200, &models);
        }
        ("POST", "/v1/completions") => Dialect::Completion,
        ("POST", "/v1/chat/completions") => Dialect::Chat,
        _ => return refuse(stream, 404, "Not Found"),
    };
    if request.query.get("status").is_some_and(|status| status == "500") {
        return refuse(stream, 500, "the request asked for this");
    }
    let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
        return refuse(stream, 400, "the body is not JSON");
    };
    if body["model"] != shared.options.model.as_str() {
        return refuse(stream, 400, "the model does not exist");
    }
    let job = Job::new(dialect, request, &body, shared);
    if body["stream"] != true {
        wait_until(arrival + job.token_time.saturating_mul(u32::try_from(job.tokens).unwrap_or(u32::MAX)));
        return http::write_json(stream, 200, &job.whole());
    }
    http::write_stream_head(stream)?;
    let usage = body["stream_options"]["include_usage"] == true;
    stream_tokens(stream, &job, arrival, shared)?;
    if usage {
        http::write_event(stream, &job.event(json!([]), Some(job.usage())))?;
    }
    http::write_event(stream, "[DONE]")?;
    http::write_stream_end(stream)
}

/// Each token at its own time after the arrival, so that a late one does not delay the rest.
fn stream_tokens(stream: &TcpStream, job: &Job, arrival: Instant, shared: &Shared) -> io::Result<()> {
    let mut due = arrival;
    for token in 0..job.tokens {
        due += job.token_time;
        wait_until(due);
        if shared.stopped() {
            return Err(io::Error::other("the server ends"));
        }
        for index in 0..job.choices {
            if token == 0 && job.dialect == Dialect::Chat {
                http::write_event(stream, &job.event(json!([job.role(index)]), None))?;
            }
            http::write_event(stream, &job.event(json!([job.token(index, token)]), None))?;
        }
    }
    Ok(())
}

fn wait_until(time: Instant) {
    thread::sleep(time.saturating_duration_since(Instant::now()));
}

fn refuse(stream: &TcpStream, status: u16, message: &str) -> io::Result<()> {
    let kind = if status < 500 { "BadRequestError" } else { "InternalServerError" };
    http::write_json(stream, status, &json!({"error": {"message": message, "type": kind, "code": status}}))
}

impl Job {
    fn new(dialect: Dialect, request: &Request, body: &Value, shared: &Shared) -> Job {
        let number = shared.next();
        let name = request.headers.get("x-request-id").cloned().unwrap_or_else(|| format!("demo-{number}"));
        let prefix = match dialect {
            Dialect::Completion => "cmpl",
            Dialect::Chat => "chatcmpl",
        };
        let token_time = request.query.get("token_ms").and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
        Job {
            dialect,
            id: format!("{prefix}-{name}"),
            model: shared.options.model.clone(),
            choices: body["n"].as_u64().unwrap_or(1),
            tokens: body["max_tokens"].as_u64().unwrap_or(DEFAULT_TOKENS),
            prompt_tokens: words(&body["prompt"]) + words(&body["messages"]),
            token_time: token_time.unwrap_or(shared.options.token_time),
        }
    }

    fn object(&self, part: &str) -> String {
        match self.dialect {
            Dialect::Completion => "text_completion".into(),
            Dialect::Chat => format!("chat.completion{part}"),
        }
    }

    fn event(&self, choices: Value, usage: Option<Value>) -> String {
        let mut event = json!({
            "id": self.id, "object": self.object(".chunk"), "created": 0, "model": self.model, "choices": choices
        });
        if let Some(usage) = usage {
            event["usage"] = usage;
        }
        event.to_string()
    }

    fn role(&self, index: u64) -> Value {
        json!({"index": index, "delta": {"role": "assistant", "content": ""}, "finish_reason": null})
    }

    fn token(&self, index: u64, token: u64) -> Value {
        let text = format!("word{token} ");
        let finish = (token + 1 == self.tokens).then_some("length");
        match self.dialect {
            Dialect::Completion => json!({"index": index, "text": text, "finish_reason": finish}),
            Dialect::Chat => json!({"index": index, "delta": {"content": text}, "finish_reason": finish}),
        }
    }

    /// The answer that is not streamed.
    fn whole(&self) -> Value {
        let text: String = (0..self.tokens).map(|token| format!("word{token} ")).collect();
        let choice = |index: u64| match self.dialect {
            Dialect::Completion => json!({"index": index, "text": text, "finish_reason": "length"}),
            Dialect::Chat => {
                json!({"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "length"})
            }
        };
        let choices: Vec<_> = (0..self.choices).map(choice).collect();
        json!({
            "id": self.id, "object": self.object(""), "created": 0, "model": self.model, "choices": choices,
            "usage": self.usage()
        })
    }

    fn usage(&self) -> Value {
        let completion = self.tokens * self.choices;
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": completion,
            "total_tokens": self.prompt_tokens as u64 + completion
        })
    }
}

/// A word is a token here: of a prompt, or of the contents of messages.
fn words(prompt: &Value) -> usize {
    match prompt {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(parts) => parts.iter().map(words).sum(),
        Value::Object(message) => message.get("content").map_or(0, words),
        _ => 0,
    }
}
