//! `inferscope health`: whether the agent that runs does its work, for whoever has no HTTP client at hand.
//!
//! It asks /healthz and nothing else: what the agent sees is `check`'s and /status's business.

use crate::cli::Health;
use crate::config::Config;
use crate::crosscheck::page;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks, until the agent works or the time is over.
pub(super) fn health(arguments: &Health) -> ExitCode {
    let configured = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config.listen,
        Err(problems) => return super::unusable(&problems),
    };
    let address = reachable(arguments.listen.unwrap_or(configured));
    let deadline = Instant::now().checked_add(Duration::from_secs(arguments.wait));
    loop {
        match ask(address) {
            Ok(()) => {
                println!("healthy; metrics on http://{address}/metrics");
                return ExitCode::SUCCESS;
            }
            Err(why) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => return super::failed(&why),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn ask(address: SocketAddr) -> Result<(), String> {
    match page::answer(address, "/healthz") {
        Ok(answer) => judge(&answer),
        Err(error) => Err(format!("no agent answers on {address}: {error}")),
    }
}

/// From an answer of /healthz: why it is not healthy, in the agent's own words.
fn judge(answer: &str) -> Result<(), String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    match head.split(' ').nth(1) {
        Some("200") if body.trim_end() == "ok" => Ok(()),
        Some("503") => Err(body.trim_end().to_owned()),
        _ => Err("what answers there is not this agent".to_owned()),
    }
}

/// An agent that listens everywhere is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_says_itself_why_it_is_not_healthy() {
        assert_eq!(judge("HTTP/1.0 200 OK\r\n\r\nok\n"), Ok(()));
        let starting = judge("HTTP/1.0 503 Service Unavailable\r\n\r\nThe agent is starting.\n");
        assert_eq!(starting, Err("The agent is starting.".to_owned()));
        for other in ["HTTP/1.0 404 Not Found\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n<html>", "SSH-2.0\r\n", ""] {
            assert!(judge(other).is_err(), "{other}");
        }
    }

    #[test]
    fn listening_everywhere_is_reached_on_loopback() {
        for (listen, reached) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:1", "[::1]:1"), ("10.1.2.3:9464", "10.1.2.3:9464")]
        {
            let reached: Result<SocketAddr, _> = reached.parse();
            assert_eq!(listen.parse().map(reachable), reached);
        }
    }
}
