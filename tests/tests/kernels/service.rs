//! The installed service on a whole machine: what systemd and the kernel make of its unit.

use crate::disk::MOUNTED;
use crate::site::{BINARY, NEW, Site};
use inferscope_tests::release::BROKEN;

/// Where the service's control group is.
const GROUP: &str = "/sys/fs/cgroup/system.slice/inferscope.service";
const MEMORY_MAX: u64 = 512 << 20;
/// CAP_SYS_ADMIN, and the other four of the unit: CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON and CAP_BPF.
const SYS_ADMIN: u64 = 1 << 21;
const OTHERS: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;

/// Which machine this is. It must be one as Debian has it.
pub fn host(site: &mut Site) -> String {
    assert_eq!(site.guest.expect("stat -fc %T /sys/fs/cgroup"), "cgroup2fs\n");
    assert_eq!(site.guest.expect("readlink /proc/1/exe"), "/usr/lib/systemd/systemd\n");
    assert_eq!(site.guest.expect("cat /sys/module/apparmor/parameters/enabled"), "Y\n");
    let paranoia = site.guest.expect("cat /proc/sys/kernel/perf_event_paranoid");
    format!("{}perf_event_paranoid {paranoia}", site.guest.expect("uname -r"))
}

/// How much of each program the verifier walked. All of them are loaded.
pub fn programs(site: &mut Site) -> String {
    site.guest.expect(&format!("{BINARY} check --programs"))
}

/// The service's capabilities: those of the unit, and CAP_SYS_ADMIN only where the kernel demands it.
pub fn privileges(site: &mut Site) -> String {
    let process = site.main_process();
    let status = site.guest.expect(&format!("cat /proc/{process}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()).expect("a field of /proc/PID/status").to_owned()
    };
    let mask = |name: &str| u64::from_str_radix(&field(name), 16).expect("a mask");
    let checked = site.guest.run(&format!("{BINARY} check")).text;
    let demanded = checked.contains("this kernel demands CAP_SYS_ADMIN");
    let wanted = if demanded { OTHERS | SYS_ADMIN } else { OTHERS };
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(mask(set), wanted, "{set}\n{checked}");
    }
    assert_eq!((mask("CapInh"), mask("CapAmb")), (0, 0));
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".into(), "2".into()));
    assert_ne!(field("Uid"), "0");
    // What confines it, where something does.
    let label = site.guest.run(&format!("cat /proc/{process}/attr/current")).text;
    let demand = if demanded { "demanded and kept" } else { "not demanded, given up" };
    format!("CAP_SYS_ADMIN is {demand}; AppArmor: {}", label.trim())
}

/// The unit's bounds are the control group's, and the agent stays within them under load.
pub fn limits(site: &mut Site) -> String {
    let mut read = |file: &str| site.guest.expect(&format!("cat {GROUP}/{file}"));
    assert_eq!(read("memory.max"), format!("{MEMORY_MAX}\n"));
    assert_eq!(read("memory.high"), format!("{}\n", 384 << 20));
    assert_eq!(read("cpu.max"), "100000 100000\n");
    assert_eq!(read("pids.max"), "256\n");
    let load = "--base http://127.0.0.1:8000 --model guest --streams 16 --requests 8 --max-tokens 32";
    let said = site.guest.expect(&format!("{MOUNTED}/demo-load {load}"));
    assert!(said.contains("failed 0"), "{said}");
    let mut read = |file: &str| site.guest.expect(&format!("cat {GROUP}/{file}"));
    let events = read("memory.events");
    for event in ["high", "max", "oom", "oom_kill"] {
        assert!(events.lines().any(|line| line == format!("{event} 0")), "{events}");
    }
    let used: u64 = read("memory.current").trim().parse().expect("a number");
    let processor = read("cpu.stat").lines().find(|line| line.starts_with("usage_usec")).map(str::to_owned);
    format!("memory.current {} MB of {} MB; cpu.stat {}", used >> 20, MEMORY_MAX >> 20, processor.unwrap_or_default())
}

/// systemd ends an agent that hangs and starts it again. The wait is shortened; what systemd does is not changed by that.
pub fn watchdog(site: &mut Site) {
    assert_eq!(site.guest.expect("systemctl show -P WatchdogUSec inferscope"), "30s\n");
    drop_in(site, "WatchdogSec=10");
    site.guest.expect("systemctl restart inferscope");
    site.measures();
    let before = site.main_process();
    site.guest.expect(&format!("kill -STOP {before}"));
    let again = "systemctl is-active --quiet inferscope && [ $(systemctl show -P MainPID inferscope) != ";
    site.guest.wait_for(&format!("{again}{before} ] && systemctl show -P NRestarts inferscope | grep -qx 1"));
    let told = site.guest.expect("journalctl -u inferscope --no-pager -o cat");
    assert!(told.contains("Watchdog timeout"), "{told}");
    println!("stopped by SIGSTOP: systemd says a watchdog timeout, and has started it again");
    site.measures();
    without_drop_in(site);
}

/// Without CAP_SYS_ADMIN it measures, or the kernel demands it and the agent says so.
pub fn without_sys_admin(site: &mut Site) {
    let four = "CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH";
    drop_in(
        site,
        &format!(
            "AmbientCapabilities=\\nAmbientCapabilities={four}\\nCapabilityBoundingSet=\\nCapabilityBoundingSet={four}"
        ),
    );
    let demanded = site.guest.run(&format!("{BINARY} check")).text.contains("this kernel demands CAP_SYS_ADMIN");
    let started = site.guest.run("systemctl restart inferscope");
    if demanded {
        assert_ne!(started.code, 0);
        let told = site.guest.expect("journalctl -u inferscope --no-pager -o cat -n 20");
        assert!(told.contains("CAP_SYS_ADMIN is missing"), "{told}");
        println!("without CAP_SYS_ADMIN: it does not start and says so");
    } else {
        site.measures();
        println!("without CAP_SYS_ADMIN: it measures");
    }
    without_drop_in(site);
    site.guest.expect("systemctl reset-failed inferscope; systemctl restart inferscope");
    site.measures();
}

/// A new version replaces the old one; one that does not come up gives way to the one before.
pub fn upgrade(site: &mut Site) {
    // A program does not mind a byte behind its end.
    site.another_release("printf x >>inferscope");
    site.guest.expect(&format!("{NEW}/install.sh --upgrade && cmp {NEW}/inferscope {BINARY}"));
    site.guest.expect(&format!("cp -p {BINARY} /opt/good"));
    site.another_release(BROKEN);
    let failed = site.guest.run(&format!("{NEW}/install.sh --upgrade"));
    assert_eq!(failed.code, 1, "{}", failed.text);
    assert!(failed.text.contains("The version before runs again."), "{}", failed.text);
    site.guest.expect(&format!("cmp /opt/good {BINARY}"));
    println!("upgraded, and rolled back from a version that does not come up");
    site.measures();
}

/// It ends by itself when it is told to.
pub fn stops(site: &mut Site) {
    site.guest.expect("systemctl stop inferscope");
    assert_eq!(site.guest.expect("systemctl show -P Result inferscope"), "success\n");
    assert_eq!(site.guest.expect("systemctl show -P ExecMainStatus inferscope"), "0\n");
}

/// No filter and no profile was in the agent's way, and the kernel has nothing to complain of.
pub fn nothing_was_refused(site: &mut Site) {
    let told = site.guest.expect("journalctl --no-pager -o cat");
    let bad = ["audit: type=1326", "apparmor=\"DENIED\"", "BUG:", "Oops", "WARNING: CPU", "Out of memory"];
    let lines: Vec<&str> = told.lines().filter(|line| bad.iter().any(|bad| line.contains(bad))).collect();
    assert!(lines.is_empty(), "{lines:#?}");
}

fn drop_in(site: &mut Site, settings: &str) {
    let folder = "/run/systemd/system/inferscope.service.d";
    let write = format!("mkdir -p {folder} && printf '[Service]\\n{settings}\\n' >{folder}/test.conf");
    site.guest.expect(&format!("{write} && systemctl daemon-reload"));
}

fn without_drop_in(site: &mut Site) {
    site.guest.expect("rm -r /run/systemd/system/inferscope.service.d && systemctl daemon-reload");
    site.guest.expect("systemctl restart inferscope");
    site.measures();
}
