//! From files: installed, installed again, upgraded, upgraded in vain, removed.

use crate::host::{Host, Init};
use crate::site::{BINARY, CONFIG, NEW, RELEASE, Site};
use inferscope_tests::release::BROKEN;
use std::fs;

const UNIT: &str = "/etc/systemd/system/inferscope.service";
/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON and CAP_BPF.
const LISTED: u64 = 1 << 2 | 1 << 19 | 1 << 21 | 1 << 38 | 1 << 39;

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn a_release_leaves_a_working_agent() {
    let site = Site::new(Init::Systemd);
    let configured = site.host.read(CONFIG);
    let planned = site.host.expect(&format!("{RELEASE}/install.sh --dry-run"));
    assert!(planned.contains("systemctl restart inferscope.service"), "{planned}");
    assert!(!site.host.has(BINARY) && !site.host.has(UNIT), "a dry run installs nothing");

    let said = site.host.expect(&format!("{RELEASE}/install.sh"));
    println!("{said}");
    assert!(said.contains(&format!("http://{}/metrics", site.agent)), "{said}");
    assert!(said.contains("deployed pid"), "what `check` sees is printed: {said}");
    assert_eq!(site.host.read(CONFIG), configured, "the operator's configuration stays");
    site.sees_requests();
    restricted(&site);

    let before = site.main_process();
    let again = site.host.expect(&format!("{RELEASE}/install.sh"));
    assert!(again.contains("Nothing to do."), "{again}");
    assert_eq!(site.main_process(), before, "the second run restarts nothing");
    removed(&site, BINARY);
}

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn a_version_that_does_not_come_up_gives_way_to_the_one_before() {
    let site = Site::new(Init::Systemd);
    let nothing = site.host.run(&format!("{RELEASE}/install.sh --upgrade"));
    assert!(nothing.text.contains("there is nothing to upgrade"), "{}", nothing.text);
    site.host.expect(&format!("{RELEASE}/install.sh"));

    // A program does not mind a byte behind its end.
    site.another_release("printf x >>inferscope");
    site.host.expect(&format!("{NEW}/install.sh --upgrade"));
    site.host.expect(&format!("cmp {NEW}/inferscope {BINARY}"));
    site.sees_requests();
    site.host.expect("cp -p /usr/local/bin/inferscope /opt/good");

    site.another_release("printf '#!/bin/sh\\nexec false\\n' >inferscope");
    let refused = site.host.run(&format!("{NEW}/install.sh --upgrade"));
    assert!(refused.text.contains("does not run on this host; nothing was changed"), "{}", refused.text);

    site.another_release(BROKEN);
    let failed = site.host.run(&format!("{NEW}/install.sh --upgrade"));
    println!("{}", failed.text);
    assert_eq!(failed.code, Some(1));
    assert!(failed.text.contains("The version before runs again."), "{}", failed.text);
    site.host.expect(&format!("cmp /opt/good {BINARY}"));
    assert!(!site.host.has("/var/cache/inferscope/previous"));
    site.sees_requests();
}

#[test]
#[ignore = "needs root and cargo xtask setup --deploy"]
fn without_systemd_it_says_how_to_run_it() {
    let host = Host::start(Init::None);
    crate::site::put_release(&host);
    let said = host.expect(&format!("{RELEASE}/install.sh"));
    assert!(said.contains("/usr/local/bin/inferscope run"), "{said}");
    assert_eq!(host.read(CONFIG), host.read(&format!("{RELEASE}/inferscope.yaml")));
    assert_eq!(host.expect(&format!("stat -c '%a %U:%G' {CONFIG}")), "640 root:inferscope\n");
    assert!(host.expect(&format!("{BINARY} config")).contains("listen: \"127.0.0.1:9464\""));

    fs::write(host.path(CONFIG), "lisen: here\n").expect("the host is writable");
    host.expect(&format!("cp -r {RELEASE} {NEW} && cd {NEW} && printf x >>inferscope"));
    let damaged = host.run(&format!("{NEW}/install.sh"));
    assert!(damaged.text.contains("is damaged"), "{}", damaged.text);
    host.expect(&format!("cd {NEW} && sha256sum inferscope >SHA256SUMS"));
    let refused = host.run(&format!("{NEW}/install.sh"));
    assert_eq!(refused.code, Some(1));
    assert!(refused.text.contains("does not take /etc/inferscope/inferscope.yaml"), "{}", refused.text);
    host.expect(&format!("cmp {RELEASE}/inferscope {BINARY}"));
}

/// The agent is no root, holds the unit's capabilities and no others, and the unit's restrictions are in force.
fn restricted(site: &Site) {
    let process = site.main_process();
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the agent runs");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()).expect("a field of /proc/PID/status")
    };
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        let held = u64::from_str_radix(field(set), 16).expect("a mask");
        assert_eq!(held & !LISTED, 0, "{set} is {held:x}");
    }
    assert_ne!(field("Uid"), "0");
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1", "2"));
    let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).expect("the agent runs");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
    assert!(root.split(' ').nth(5).is_some_and(|options| options.starts_with("ro")), "{root}");
}

/// Removes what is installed: first all but the configuration, then that, too.
pub fn removed(site: &Site, binary: &str) {
    let host = &site.host;
    let said = host.expect(&format!("{RELEASE}/install.sh --uninstall"));
    assert!(said.contains("--purge removes it"), "{said}");
    assert!(!host.has(binary) && host.has(CONFIG));
    assert_ne!(host.run("systemctl cat inferscope").code, Some(0), "the unit is gone");
    host.expect(&format!("{RELEASE}/install.sh --uninstall --purge"));
    assert!(!host.has("/etc/inferscope") && !host.has("/var/log/inferscope") && !host.has("/var/cache/inferscope"));
    assert_ne!(host.run("getent passwd inferscope").code, Some(0), "the user is gone");
}
