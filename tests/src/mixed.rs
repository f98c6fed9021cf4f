//! A load of all kinds of requests at once: chat and completions, streamed and not, of different lengths, and on request
//! with log probabilities, parallel answers and clients that leave. What it asks is the same in every run; how much of
//! it, time decides.

use crate::load::{self, Delivery, Endpoint, Options, Seen};
use serde_json::{Map, Value, json};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How much of an answer somebody reads who leaves early.
const READ_BEFORE_LEAVING: usize = 1500;
/// How long somebody waits for an answer in one piece who leaves early.
const PATIENCE: Duration = Duration::from_millis(60);

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixed {
    /// The server.
    pub server: SocketAddr,
    /// Its model.
    pub model: String,
    /// Concurrent clients.
    pub workers: u32,
    /// When they begin no further request.
    pub time: Duration,
    /// What they ask for.
    pub variety: Variety,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variety {
    /// One answer to each request, and everybody waits for it.
    Plain,
    /// Some ask for log probabilities, some for two answers, and some leave.
    Rich,
    /// As [`Variety::Plain`], with the likeliest token always and longer answers: a small model then repeats itself, which
    /// is what speculation guesses right.
    Likeliest,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In one piece or as it comes.
    pub delivery: Delivery,
    /// Parallel answers.
    pub choices: u64,
    /// What its client saw.
    pub outcome: Outcome,
}

/// How it ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It waited for the end.
    Answered(Seen),
    /// It left before the end.
    Left,
}

/// One request to be made.
struct Plan {
    options: Options,
    choices: u64,
    leaves: bool,
}

impl Mixed {
    /// Runs it to its end.
    #[must_use]
    pub fn run(&self) -> Vec<Asked> {
        let asked = Mutex::new(Vec::new());
        let start = Instant::now();
        thread::scope(|scope| {
            for worker in 0..self.workers {
                let record = |one| asked.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                scope.spawn(move || self.work(worker, start, &record));
            }
        });
        asked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, worker: u32, start: Instant, record: &dyn Fn(Asked)) {
        load::hurry();
        let mut connection = None;
        for number in (u64::from(worker)..).step_by(self.workers as usize) {
            if start.elapsed() >= self.time {
                return;
            }
            let Plan { options, choices, leaves } = self.plan(number);
            let request = options.request();
            let outcome = if leaves {
                // Refused or answered before it could leave: for the server it is all the same.
                let _ = leave(self.server, &request, options.delivery);
                Outcome::Left
            } else {
                Outcome::Answered(load::once(&mut connection, self.server, worker, &request))
            };
            record(Asked { delivery: options.delivery, choices, outcome });
        }
    }

    /// The `number`-th request. Counts with different periods make every combination come up.
    fn plan(&self, number: u64) -> Plan {
        let rich = self.variety == Variety::Rich;
        let endpoint = if number.is_multiple_of(2) { Endpoint::Chat } else { Endpoint::Completions };
        let delivery = if number.is_multiple_of(3) { Delivery::Whole } else { Delivery::Streamed };
        let leaves = rich && number % 7 == 4;
        let choices = if rich && number % 5 == 1 { 2 } else { 1 };
        let mut more = Map::new();
        if choices > 1 {
            more.insert("n".to_owned(), json!(choices));
        }
        if rich && number % 4 < 2 {
            more.extend(log_probabilities(endpoint));
        }
        let likeliest = self.variety == Variety::Likeliest;
        if likeliest {
            more.insert("temperature".to_owned(), json!(0));
        }
        let options = Options {
            endpoint,
            delivery,
            max_tokens: match 8 + number * 13 % 57 {
                // Who leaves has asked for more than comes before.
                _ if leaves => 400,
                tokens if likeliest => tokens * 2,
                tokens => tokens,
            },
            prompt: prompt(number),
            more,
            ..Options::new(self.server, &self.model)
        };
        Plan { options, choices, leaves }
    }
}

fn log_probabilities(endpoint: Endpoint) -> Vec<(String, Value)> {
    match endpoint {
        Endpoint::Completions => vec![("logprobs".to_owned(), json!(3))],
        Endpoint::Chat => vec![("logprobs".to_owned(), json!(true)), ("top_logprobs".to_owned(), json!(3))],
    }
}

/// Short ones that differ, and every ninth a long one that begins like the others: the prefix cache holds whole blocks
/// of 128 tokens.
fn prompt(number: u64) -> String {
    const WORDS: [&str; 12] =
        ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", "hello", "world", "token", "stream"];
    let word = |place: u64| WORDS.iter().cycle().nth((place % 12) as usize).copied().unwrap_or("the");
    let end: Vec<_> = (0..4 + number % 9).map(|place| word(number + place * 5)).collect();
    let begin = if number.is_multiple_of(9) { "the quick brown fox ".repeat(60) } else { String::new() };
    begin + &end.join(" ")
}

/// Sends a request, reads or waits for some of the answer, and goes away.
fn leave(server: SocketAddr, request: &[u8], delivery: Delivery) -> io::Result<()> {
    let mut stream = load::connect(server)?;
    stream.write_all(request)?;
    if delivery == Delivery::Whole {
        thread::sleep(PATIENCE);
        return Ok(());
    }
    let mut buffer = [0; READ_BEFORE_LEAVING];
    stream.read_exact(&mut buffer)
}

/// Sums over the requests that were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// Requests whose client left.
    pub left: u64,
    /// Answers.
    pub choices: u64,
    /// Prompt tokens, as the server stated them.
    pub prompt_tokens: u64,
    /// Tokens of answers, as the server stated them.
    pub generated_tokens: u64,
    /// Requests with another status than 200, or none.
    pub failed: u64,
}

impl Sums {
    /// Of a load.
    #[must_use]
    pub fn of(asked: &[Asked]) -> Sums {
        let mut sums = Sums::default();
        for one in asked {
            match &one.outcome {
                Outcome::Left => sums.left += 1,
                Outcome::Answered(seen) if seen.status == Some(200) && seen.error.is_none() => {
                    sums.requests += 1;
                    sums.choices += one.choices;
                    sums.prompt_tokens += seen.prompt_tokens.unwrap_or(0);
                    sums.generated_tokens += seen.completion_tokens.unwrap_or(0);
                }
                Outcome::Answered(_) => sums.failed += 1,
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_server::{OpenAiServer, Options as ServerOptions};

    #[test]
    fn all_kinds_come_up_and_are_counted() {
        let options = ServerOptions { token_time: Duration::from_millis(1), ..ServerOptions::default() };
        let server = OpenAiServer::start(options).unwrap();
        let mixed = Mixed {
            server: server.address(),
            model: "demo".into(),
            workers: 4,
            time: Duration::from_millis(1500),
            variety: Variety::Plain,
        };
        let asked = mixed.run();
        let sums = Sums::of(&asked);
        assert!(sums.requests > 8 && sums.left == 0 && sums.failed == 0, "{sums:?}");
        assert_eq!(sums.requests, sums.choices);
        assert!(asked.iter().any(|one| one.delivery == Delivery::Whole));
        assert!(asked.iter().any(|one| one.delivery == Delivery::Streamed));
        assert!(sums.generated_tokens >= 8 * sums.requests, "{sums:?}");
    }

    #[test]
    fn a_rich_load_has_answers_in_parallel_log_probabilities_and_clients_that_leave() {
        let mixed = Mixed {
            server: ([127, 0, 0, 1], 1).into(),
            model: "m".into(),
            workers: 1,
            time: Duration::ZERO,
            variety: Variety::Rich,
        };
        let plans: Vec<_> = (0..140).map(|number| mixed.plan(number)).collect();
        let count = |is: fn(&Plan) -> bool| plans.iter().filter(|plan| is(plan)).count();
        assert_eq!((count(|plan| plan.leaves), count(|plan| plan.choices == 2)), (20, 28));
        assert_eq!(count(|plan| plan.options.more.contains_key("logprobs")), 70);
        assert!(count(|plan| plan.leaves && plan.options.delivery == Delivery::Whole) > 0);
        assert!(mixed.run().is_empty(), "no time, no request");
    }
}
