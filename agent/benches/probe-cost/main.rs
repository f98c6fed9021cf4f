//! What a probe adds to a call, by where it sits: glibc's `recv` and `write` of 300 bytes, through the product's programs.
//!
//! `cargo xtask bench probe-cost` prints what docs/journal cites. Hooks take turns within a round, so that what else the
//! machine does hits all of them. A round counts only where every call was reported and nothing was lost.

use anyhow::{Context, Result, ensure};
use inferscope::config::Source;
use inferscope::engine::{Library, SOCKETS, Target};
use inferscope::event::{Event, EventKind, Tgid};
use inferscope::host::maps;

use inferscope::kernel::capture::{Capture, Captured};
use inferscope::kernel::elf::Image;
use inferscope::kernel::load::{self, Kernel, Options};
use inferscope::kernel::placement::{Contract, FOLLOWED_BYTES, Function, Placement, place};
use inferscope::kernel::plan::{self, Probe};
use inferscope_ebpf::{Cookie, Hook};
use std::fs;
use std::path::{Path, PathBuf};
use traced::{BYTES, CALLS, Traced};

mod traced;

const ROUNDS: usize = 5;

/// Where the probes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// Nowhere: the call itself.
    Nowhere,
    /// A probe on the function's first instruction and a return probe.
    Entry,
    /// The same pair on its first emulated instruction.
    EmulatedEntry,
    /// Where the product puts them.
    Product,
    /// On the system calls' tracepoints, which are for all processes.
    Tracepoints,
    /// The same, while another process is traced.
    TracepointsOfOthers,
}

impl Where {
    const ALL: [Where; 6] = [
        Where::Nowhere,
        Where::Entry,
        Where::EmulatedEntry,
        Where::Product,
        Where::Tracepoints,
        Where::TracepointsOfOthers,
    ];

    fn text(self) -> &'static str {
        match self {
            Where::Nowhere => "none: the call itself",
            Where::Entry => "entry + uretprobe",
            Where::EmulatedEntry => "emulated entry + uretprobe",
            Where::Product => "the product's placement",
            Where::Tracepoints => "sys_enter/sys_exit tracepoints",
            Where::TracepointsOfOthers => "the same, another process traced",
        }
    }

    /// Calls that must have been reported.
    fn reported(self) -> u64 {
        match self {
            Where::Nowhere | Where::TracepointsOfOthers => 0,
            _ => CALLS,
        }
    }
}

/// One function of the C library.
struct Callee {
    hook: Hook,
    /// What the kernel calls it.
    system_call: Hook,
    target: Target,
}

const CALLEES: [Callee; 2] = [
    Callee {
        hook: Hook::Recv,
        system_call: Hook::Recvfrom,
        target: Target { library: Library::Libc, hooks: &[Hook::Recv] },
    },
    Callee {
        hook: Hook::Write,
        system_call: Hook::Write,
        target: Target { library: Library::Libc, hooks: &[Hook::Write] },
    },
];

fn main() -> Result<()> {
    if std::env::args().nth(1).is_some_and(|mode| mode == traced::MODE) {
        return traced::main();
    }
    let mut traced = Traced::spawn()?;
    for callee in &CALLEES {
        println!("{}, {BYTES} bytes, {CALLS} calls a round, {ROUNDS} rounds; ns a call", callee.hook.name());
        println!("{:<34} {:>8} {:>8} {:>8} {:>12}", "hook", "min", "median", "max", "of product's");
        let mut costs: [Vec<f64>; Where::ALL.len()] = Default::default();
        for _ in 0..ROUNDS {
            let round: Vec<f64> =
                Where::ALL.iter().map(|place| measure(&mut traced, callee, *place)).collect::<Result<_>>()?;
            let itself = *round.first().context("the first is the call itself")?;
            for (costs, (place, cost)) in costs.iter_mut().zip(Where::ALL.iter().zip(round)) {
                costs.push(if *place == Where::Nowhere { cost } else { cost - itself });
            }
        }
        print(&mut costs);
    }
    Ok(())
}

fn print(costs: &mut [Vec<f64>]) {
    let median = |costs: &[f64]| costs.get(costs.len() / 2).copied().unwrap_or(f64::NAN);
    costs.iter_mut().for_each(|costs| costs.sort_by(f64::total_cmp));
    let product = Where::ALL.iter().zip(&*costs).find(|(place, _)| **place == Where::Product);
    let product = product.map_or(f64::NAN, |(_, costs)| median(costs));
    for (place, costs) in Where::ALL.iter().zip(&*costs) {
        let (Some(min), Some(max)) = (costs.first(), costs.last()) else { continue };
        let ratio = if *place == Where::Nowhere { String::new() } else { format!("{:.1}", median(costs) / product) };
        println!("{:<34} {min:>8.0} {:>8.0} {max:>8.0} {ratio:>12}", place.text(), median(costs));
    }
}

/// One round with hooks of one kind, from fresh programs: tracepoints stay for as long as their programs do.
fn measure(traced: &mut Traced, callee: &Callee, place: Where) -> Result<f64> {
    if place == Where::Nowhere {
        return traced.round(callee.hook.name(), || {});
    }
    let Kernel { mut probes, mut capture, .. } = load::load(Options::default())?;
    let tgid = Tgid(traced.id());
    for descriptor in &traced.descriptors {
        capture.connections().add_midway(tgid, *descriptor, 1);
    }
    let (path, candidates) = probes_of(tgid, callee, place)?;
    let links: Vec<_> =
        candidates.into_iter().map(|probe| probes.attach_probe(tgid, &path, probe)).collect::<Result<_, _>>()?;
    match place {
        Where::Tracepoints => drop(probes.attach(tgid, &[SOCKETS], Source::Syscalls)?),
        Where::TracepointsOfOthers => drop(probes.attach(Tgid(std::process::id()), &[SOCKETS], Source::Syscalls)?),
        _ => {}
    }
    let mut reported = 0;
    let cost = traced.round(callee.hook.name(), || reported += drain(&mut capture, callee))?;
    reported += drain(&mut capture, callee);
    let lost: u64 = capture.counts().iter().flat_map(|(_, counts)| counts.lost).sum();
    ensure!(lost == 0, "{} records were lost: the machine is too busy to measure", lost);
    ensure!(reported == place.reported(), "{reported} calls were reported with {}", place.text());
    drop(links);
    Ok(cost)
}

/// How many records of the callee there were.
fn drain(capture: &mut Capture, callee: &Callee) -> u64 {
    let ours = |captured: &Captured| match captured {
        Captured::Event(Event { hook, kind: EventKind::Data(segment), .. }) => {
            segment.total == BYTES as u64 && [callee.hook, callee.system_call].contains(hook)
        }
        _ => false,
    };
    std::iter::from_fn(|| capture.next()).filter(ours).count() as u64
}

/// The file of the callee and the probes on it.
fn probes_of(tgid: Tgid, callee: &Callee, place: Where) -> Result<(PathBuf, Vec<Probe>)> {
    let files = maps::mapped_files(tgid)?;
    let file = files.iter().find(|file| plan::belongs(file, Library::Libc)).context("this program maps no libc")?;
    let path = plan::open_path(tgid, file);
    let probes = match place {
        Where::Product => {
            let planned = plan::plan(&path, &callee.target)?;
            planned.into_iter().flat_map(|planned| planned.probes).collect()
        }
        Where::Entry | Where::EmulatedEntry => pair(&path, callee.hook, place)?,
        Where::Nowhere | Where::Tracepoints | Where::TracepointsOfOthers => Vec::new(),
    };
    Ok((path, probes))
}

/// Entry and return, where the product would not put them.
fn pair(path: &Path, hook: Hook, place: Where) -> Result<Vec<Probe>> {
    let bytes = fs::read(path)?;
    let image = Image::parse(&bytes)?;
    let symbol = image.symbol(hook.name()).context("libc has the function")?;
    let site = if place == Where::Entry { symbol.address } else { emulated(&image, hook)? };
    let offset = image.file_offset(site).context("code is in the file")?;
    let cookie = Cookie::of(hook).0;
    Ok(["socket_return", "socket_enter"].map(|program| Probe { program, offset, cookie }).into())
}

/// What placement finds when it is not told of the system call.
fn emulated(image: &Image<'_>, hook: Hook) -> Result<u64> {
    let symbol = image.symbol(hook.name()).context("libc has the function")?;
    let follow = |address| image.code_at(address, FOLLOWED_BYTES);
    let function = Function { address: symbol.address, code: image.code(&symbol), follow: &follow };
    let contract = Contract { syscall: None, ..Contract::of(hook).context("a socket call has a contract")? };
    match place(image.machine(), &function, &contract).placement {
        Placement::EmulatedEntry { enter } => Ok(enter),
        other => anyhow::bail!("{} has no emulated entry here but {}", hook.name(), other.name()),
    }
}
