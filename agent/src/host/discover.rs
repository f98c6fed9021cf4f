//! Finds inference servers among the host's processes, and notices when they end.
//!
//! Told of exec, fork and exit by the kernel side, it looks again a few times, because a Python server renames itself
//! long after its exec; a full scan now and then catches what was missed. It reads /proc, attaches nothing.

use super::container::Enclosed;
use super::process::{Ancestor, Process};
use super::procfs::{self, StartTime};
use super::workload::Names;
use crate::engine::{self, Engine, Match, Role};
use crate::event::Tgid;
use crate::service::Service;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Seconds after which to look at a process that was first seen or ran exec: a Python server renames itself any time in its
/// start-up, a vLLM engine 20 to 60 s after its exec. A process that is gone is not looked at again.
const LOOKS: [f64; 14] = [0.3, 2.0, 5.0, 8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 75.0, 90.0];
/// Of these, the looks that also ask which libraries a process maps, where nothing else says what it is: a program that
/// embeds a server. 1 to 2 us for each mapping (a large one has 2000); docs/journal/2026-11-22-triton.md.
const LIBRARY_LOOKS: [usize; 4] = [1, 3, 8, 13];
/// At least so long between the scans that a new child or thread of a server asks for.
const CHILD_SCAN: Duration = Duration::from_secs(2);

/// What the operator says of some processes: they are this engine's servers, or are called this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Engine name.
    pub engine: String,
    /// Must appear in the command line (arguments joined by single spaces).
    pub argv: String,
    /// Service name; the derived one where absent.
    pub service: Option<String>,
}

/// A process of an inference server.
#[derive(Clone)]
pub struct Server {
    /// The process.
    pub process: Process,
    /// Tells it from a later process with the same id.
    pub start: StartTime,
    /// Its engine.
    pub engine: &'static dyn Engine,
    /// How it was recognised, and what it does.
    pub matched: Match,
    /// Its name, and the container that it runs in.
    pub service: Service,
    /// What its cgroup says of that container.
    pub enclosed: Enclosed,
    /// The process at the top of its server: itself, or the furthest ancestor that is of the same engine.
    pub root: Tgid,
    /// The process at the top of the server of another engine that all this runs inside, if it does: Triton's, of an
    /// engine that one of its backends started.
    pub inside: Option<Tgid>,
    /// The operator named it: it must work.
    pub named: bool,
}

/// How closely to look at a process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// At its command line and its ancestors.
    Quick,
    /// At its libraries, too.
    Thorough,
}

/// When to look at a process again.
struct Due {
    noticed: Instant,
    /// So many of [`LOOKS`] have been.
    looks: usize,
}

impl Due {
    fn next(&self) -> Option<Instant> {
        LOOKS.get(self.looks).map(|after| self.noticed + Duration::from_secs_f64(*after))
    }
}

/// What discovery noticed.
#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // a handful of them, once in a server's life
pub enum Change {
    /// A server's process is there.
    Started(Server),
    /// It is gone.
    Ended(Tgid),
}

/// Knows the servers of this host.
pub struct Discovery {
    rules: Vec<Rule>,
    names: Names,
    rescan: Duration,
    enabled: Vec<&'static dyn Engine>,
    servers: BTreeMap<Tgid, Server>,
    seen: HashSet<Tgid>,
    due: BTreeMap<Tgid, Due>,
    /// Servers that have become another program.
    replaced: Vec<Tgid>,
    last_scan: Instant,
    next_scan: Instant,
}

impl Discovery {
    /// Looks for servers of the engines in `enabled`, and for those that a rule names; all of /proc every `rescan`. `names`
    /// tells what their containers are called.
    #[must_use]
    pub fn new(enabled: Vec<&'static dyn Engine>, rules: Vec<Rule>, rescan: Duration, names: Names) -> Discovery {
        Discovery {
            rules,
            names,
            rescan,
            enabled,
            servers: BTreeMap::new(),
            seen: HashSet::new(),
            due: BTreeMap::new(),
            replaced: Vec::new(),
            last_scan: Instant::now(),
            next_scan: Instant::now(),
        }
    }

    /// The servers known now.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// A process is new: look at it (and at what is new) soon, and again later.
    pub fn noticed(&mut self, tgid: Tgid, now: Instant) {
        self.due.insert(tgid, Due { noticed: now, looks: 0 });
    }

    /// A process ran exec: whatever it was before, it is another program now. A server's child is a copy of the server until
    /// then, and may have been taken for one.
    pub fn executed(&mut self, tgid: Tgid, now: Instant) {
        if self.servers.remove(&tgid).is_some() {
            self.replaced.push(tgid);
        }
        self.noticed(tgid, now);
    }

    /// A traced process got a new thread or child: new processes are worth a look.
    pub fn forked(&mut self, now: Instant) {
        let soon = (now + Duration::from_millis(500)).max(self.last_scan + CHILD_SCAN);
        self.next_scan = self.next_scan.min(soon);
    }

    /// When [`Discovery::turn`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Instant {
        self.due.values().filter_map(Due::next).fold(self.next_scan, Instant::min)
    }

    /// Looks at what is due.
    pub fn turn(&mut self, now: Instant) -> Vec<Change> {
        let mut changes: Vec<Change> = self.replaced.drain(..).map(Change::Ended).collect();
        changes.extend(self.ended());
        if now >= self.next_scan {
            self.last_scan = now;
            self.next_scan = now + self.rescan;
            self.scan(now, &mut changes);
        }
        let mut due = std::mem::take(&mut self.due);
        due.retain(|tgid, due| {
            if due.next().is_none_or(|next| next > now) {
                return true;
            }
            let look = if LIBRARY_LOOKS.contains(&due.looks) { Look::Thorough } else { Look::Quick };
            due.looks += 1;
            self.look(*tgid, look, &mut changes) && due.next().is_some()
        });
        self.due = due;
        changes
    }

    /// Servers that are gone, or whose id belongs to another process by now.
    fn ended(&mut self) -> Vec<Change> {
        let gone = |server: &Server| procfs::start_time(server.process.tgid) != Some(server.start);
        let gone: Vec<Tgid> = self.servers.values().filter(|server| gone(server)).map(|s| s.process.tgid).collect();
        gone.into_iter()
            .map(|tgid| {
                self.servers.remove(&tgid);
                Change::Ended(tgid)
            })
            .collect()
    }

    fn scan(&mut self, now: Instant, changes: &mut Vec<Change>) {
        let all = procfs::all();
        let known = std::mem::replace(&mut self.seen, all.iter().copied().collect());
        for tgid in all {
            if !known.contains(&tgid) {
                self.noticed(tgid, now);
            }
            self.look(tgid, Look::Quick, changes);
        }
    }

    /// Whether it may become a server yet.
    fn look(&mut self, tgid: Tgid, look: Look, changes: &mut Vec<Change>) -> bool {
        if self.servers.contains_key(&tgid) {
            return false;
        }
        let Some(start) = procfs::start_time(tgid) else { return false };
        let Some(mut process) = procfs::process(tgid) else { return false };
        // A kernel thread has no command line, nor has a process in the middle of its exec.
        if process.argv.is_empty() {
            return true;
        }
        let mut verdict = judge(&process, &self.enabled, &self.rules);
        if verdict.is_none() && look == Look::Thorough {
            process.libraries = procfs::libraries(tgid);
            verdict = judge(&process, &self.enabled, &self.rules);
        }
        let Some(verdict) = verdict else { return true };
        let Verdict { engine, matched, service, named } = verdict;
        let root = root(&process, engine);
        let inside = inside(&process, engine, &self.enabled);
        let enclosed = Enclosed::parse(&procfs::cgroups(tgid));
        let service = Service { name: service.into(), workload: self.names.of(&enclosed).map(Arc::new) };
        let server = Server { process, start, engine, matched, service, enclosed, root, inside, named };
        self.servers.insert(tgid, server.clone());
        changes.push(Change::Started(server));
        false
    }
}

fn root(process: &Process, engine: &dyn Engine) -> Tgid {
    let of_engine = |ancestor: &&Ancestor| is_of(ancestor, engine);
    process.ancestors.iter().rfind(of_engine).map_or(process.tgid, |ancestor| ancestor.tgid)
}

fn inside(process: &Process, engine: &dyn Engine, enabled: &[&'static dyn Engine]) -> Option<Tgid> {
    let others = enabled.iter().filter(|other| other.name() != engine.name());
    let of_others = |ancestor: &&Ancestor| others.clone().any(|other| is_of(ancestor, *other));
    process.ancestors.iter().rfind(of_others).map(|ancestor| ancestor.tgid)
}

fn is_of(ancestor: &Ancestor, engine: &dyn Engine) -> bool {
    let Ancestor { tgid, comm, argv } = ancestor.clone();
    engine.matches(&Process { tgid, comm, argv, ..Process::default() }).is_some()
}

/// Whose a process is.
pub struct Verdict {
    /// The engine.
    pub engine: &'static dyn Engine,
    /// How it was recognised, and what it does.
    pub matched: Match,
    /// Label value.
    pub service: String,
    /// A rule named it.
    pub named: bool,
}

/// Which engine's a process is. A rule wins over an engine's own judgement. Pure.
#[must_use]
pub fn judge(process: &Process, enabled: &[&'static dyn Engine], rules: &[Rule]) -> Option<Verdict> {
    let line = process.argv.join(" ");
    let rule = rules.iter().find(|rule| !rule.argv.is_empty() && line.contains(&rule.argv));
    let own = enabled.iter().find_map(|engine| Some((*engine, engine.matches(process)?)));
    let (engine, matched) = match (rule, own) {
        (Some(rule), own) => {
            let engine = engine::by_name(&rule.engine)?;
            let evidence = format!("configured: the command line contains `{}`", rule.argv);
            match own {
                // The rule only renames: workers stay workers.
                Some((own, matched)) if own.name() == engine.name() => {
                    (engine, Match { evidence: format!("{}; {evidence}", matched.evidence), ..matched })
                }
                _ => (engine, Match { role: Role::Frontend, evidence, service: None, model: None, port: None }),
            }
        }
        (None, own) => own?,
    };
    let service = rule.and_then(|rule| rule.service.clone()).or_else(|| matched.service.clone());
    let service = service.unwrap_or_else(|| engine.name().to_owned());
    Some(Verdict { engine, matched, service, named: rule.is_some() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::ENGINES;

    fn process(argv: &[&str]) -> Process {
        Process { argv: argv.iter().map(|arg| (*arg).to_owned()).collect(), ..Process::default() }
    }

    fn rule(argv: &str) -> Rule {
        Rule { engine: "vllm".to_owned(), argv: argv.to_owned(), service: Some("mine".to_owned()) }
    }

    #[test]
    fn an_engine_recognises_its_own() {
        let found = judge(&process(&["/venv/bin/vllm", "serve", "m", "--port", "81"]), ENGINES, &[]).unwrap();
        assert_eq!((found.engine.name(), found.service.as_str(), found.named), ("vllm", "vllm:81", false));
        assert!(judge(&process(&["nginx"]), ENGINES, &[]).is_none());
    }

    #[test]
    fn a_rule_names_what_no_engine_recognises_and_renames_what_one_does() {
        let found = judge(&process(&["/opt/wrapper", "--model", "m"]), ENGINES, &[rule("wrapper --model")]).unwrap();
        assert_eq!((found.service.as_str(), found.matched.role, found.named), ("mine", Role::Frontend, true));
        let found = judge(&process(&["vllm", "serve", "m"]), ENGINES, &[rule("serve m")]).unwrap();
        assert_eq!((found.service.as_str(), found.named), ("mine", true));
        assert!(found.matched.evidence.contains("argv contains `vllm serve`"), "{}", found.matched.evidence);
        let renamed = process(&["VLLM::EngineCore   "]);
        let found = judge(&renamed, ENGINES, &[rule("VLLM::EngineCore")]).unwrap();
        assert_eq!(found.matched.role, Role::Engine, "a renamed engine stays an engine");
        assert!(judge(&process(&["anything"]), ENGINES, &[rule("")]).is_none(), "an empty text names nobody");
    }

    #[test]
    fn a_process_that_ends_is_noticed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let rule = Rule { argv: "sleep 60".to_owned(), ..rule("") };
        let mut discovery = Discovery::new(ENGINES.to_vec(), vec![rule], Duration::from_secs(3600), Names::new(""));
        let now = Instant::now();
        let tgid = Tgid(child.id());
        // It is spawned before its exec is through.
        while procfs::process(tgid).is_none_or(|process| process.argv != ["sleep", "60"]) {
            std::thread::yield_now();
        }
        let started = |changes: Vec<Change>| {
            changes.iter().any(|change| matches!(change, Change::Started(server) if server.process.tgid == tgid))
        };
        assert!(started(discovery.turn(now)));
        assert!(!started(discovery.turn(now)), "it is found once");
        child.kill().unwrap();
        child.wait().unwrap();
        let ended = discovery.turn(now);
        assert!(ended.iter().any(|change| matches!(change, Change::Ended(gone) if *gone == tgid)));
    }

    #[test]
    fn a_server_that_becomes_another_program_is_none() {
        let script = "read _; exec sleep 60";
        let mut child = std::process::Command::new("sh");
        let mut child = child.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let tgid = Tgid(child.id());
        let argv = |first: &str| procfs::process(tgid).is_some_and(|process| process.argv_base(0) == first);
        while !argv("sh") {
            std::thread::yield_now();
        }
        let rule = Rule { argv: script.to_owned(), ..rule("") };
        let mut discovery = Discovery::new(ENGINES.to_vec(), vec![rule], Duration::from_secs(3600), Names::new(""));
        let now = Instant::now();
        discovery.turn(now);
        assert!(discovery.servers().any(|server| server.process.tgid == tgid));
        drop(child.stdin.take());
        while !argv("sleep") {
            std::thread::yield_now();
        }
        discovery.executed(tgid, now);
        let ended = discovery.turn(now + Duration::from_secs(1));
        assert!(ended.iter().any(|change| matches!(change, Change::Ended(gone) if *gone == tgid)));
        assert!(!discovery.servers().any(|server| server.process.tgid == tgid));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_new_process_is_looked_at_several_times() {
        let mut discovery = Discovery::new(Vec::new(), Vec::new(), Duration::from_secs(3600), Names::new(""));
        let now = Instant::now();
        discovery.turn(now);
        discovery.due.clear();
        discovery.noticed(Tgid(std::process::id()), now);
        for after in LOOKS.map(Duration::from_secs_f64) {
            assert_eq!(discovery.next_due(), now + after);
            discovery.turn(now + after);
        }
        assert_eq!(discovery.next_due(), now + Duration::from_secs(3600));
    }

    #[test]
    fn a_process_that_is_gone_is_forgotten() {
        let mut discovery = Discovery::new(Vec::new(), Vec::new(), Duration::from_secs(3600), Names::new(""));
        let now = Instant::now();
        discovery.turn(now);
        discovery.due.clear();
        discovery.noticed(Tgid(u32::MAX), now);
        discovery.turn(now + Duration::from_secs(1));
        assert!(discovery.due.is_empty());
    }
}
