//! `inferscope check --engine-metrics`: the running agent's numbers beside the servers' own.

use crate::config::Config;
use crate::crosscheck::exposition::Exposition;
use crate::crosscheck::{Figures, Table, compare, page};
use crate::engine::Role;
use crate::host::discover::Server;
use crate::host::sockets;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Both sides' figures, by service and model.
type Reading = BTreeMap<(String, String), (Figures, Figures)>;

/// Prints how far the agent and each server differ: since both began, or within so many seconds from now. 0: all servers
/// were compared; 1: one of them, or the agent, does not answer.
pub(super) fn check(config: &Config, servers: &[Server], seconds: Option<u64>) -> ExitCode {
    let mut places = BTreeMap::new();
    let mut all = true;
    for server in servers.iter().filter(|server| server.matched.role == Role::Frontend) {
        match place(server) {
            Ok(address) => drop(places.insert(server.service.clone(), address)),
            Err(reason) => {
                println!("{} pid {}: {reason}", server.service, server.process.tgid.0);
                all = false;
            }
        }
    }
    if places.is_empty() && all {
        println!("No server was found that has metrics of its own.");
        return ExitCode::SUCCESS;
    }
    match compared(config.listen, &places, seconds.map(Duration::from_secs)) {
        Ok(()) if all => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(problem) => super::super::failed(&problem),
    }
}

/// Where a server's own metrics are.
fn place(server: &Server) -> Result<SocketAddr, &'static str> {
    let tgid = server.process.tgid;
    if !sockets::shares_network(tgid) {
        return Err("it is in a network namespace of its own: its metrics cannot be read from here");
    }
    let port = server.matched.port.ok_or("its command line does not say where it listens")?;
    sockets::listening(tgid, port).ok_or("nobody listens where its command line says")
}

fn compared(agent: SocketAddr, places: &BTreeMap<String, SocketAddr>, window: Option<Duration>) -> Result<(), String> {
    let before = match window {
        Some(window) => {
            let before = read(agent, places)?;
            thread::sleep(window);
            before
        }
        None => Reading::new(),
    };
    let none = Default::default();
    for (key, (agents, servers)) in read(agent, places)? {
        let (agents_before, servers_before) = before.get(&key).unwrap_or(&none);
        let rows = compare(&agents.since(agents_before), &servers.since(servers_before));
        let (service, model) = key;
        println!("{service}, model {model}");
        if rows.is_empty() {
            println!("  the agent has no numbers of it");
        } else {
            println!("{}", Table(&rows));
        }
    }
    Ok(())
}

/// The agent last: it hears of everything a little later than the server itself.
fn read(agent: SocketAddr, places: &BTreeMap<String, SocketAddr>) -> Result<Reading, String> {
    let fetch = |whose: &str, address| {
        let text = page::read(address, "/metrics").map_err(|error| format!("{whose} at {address}: {error}"))?;
        Ok::<_, String>(Exposition::parse(&text))
    };
    let pages: Vec<_> = places
        .iter()
        .map(|(service, address)| Ok((service, fetch(service, *address)?)))
        .collect::<Result<_, String>>()?;
    let own = fetch("the agent (is `inferscope run` running?)", agent)?;
    let mut reading = Reading::new();
    for (service, page) in &pages {
        for model in Figures::vllm_models(page) {
            let agents = Figures::of_agent(&own, &[("service", service), ("model", model)]);
            let servers = Figures::of_vllm(page, &[("model_name", model)]);
            reading.insert(((*service).clone(), model.to_owned()), (agents, servers));
        }
    }
    Ok(reading)
}
