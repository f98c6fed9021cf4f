//! The agent under other kernels than this machine's, and what only a whole machine shows: a systemd that is process 1,
//! control groups v2, AppArmor. What each kernel did is printed: it is what docs/limits.md says.
//!
//! `cargo xtask test --kernels` installs the kernels and runs these tests as root, one after the other. The processor is
//! emulated: what is asserted are counts and events, never how long something takes.

mod disk;
mod guest;
mod service;
mod site;

use guest::Guest;
use site::{BINARY, RELEASE, Site};

/// That it is installed, measures, and what the kernel makes of it. What it may do and use is printed.
fn measures_under(kernel: &str) {
    let mut site = Site::boot(kernel);
    println!("{}", service::host(&mut site));
    site.guest.expect(&format!("{RELEASE}/install.sh"));
    site.measures();
    println!("{}", service::programs(&mut site));
    println!("{}", service::privileges(&mut site));
    println!("{}", service::limits(&mut site));
    service::stops(&mut site);
    service::nothing_was_refused(&mut site);
}

/// What becomes of the service in the hands of systemd and of operators.
fn lives_under(kernel: &str) {
    let mut site = Site::boot(kernel);
    site.guest.expect(&format!("{RELEASE}/install.sh"));
    service::watchdog(&mut site);
    service::without_sys_admin(&mut site);
    service::upgrade(&mut site);
    service::stops(&mut site);
    service::nothing_was_refused(&mut site);
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_5_10_is_too_old_and_that_is_said() {
    let mut guest = Guest::boot("5.10");
    guest.expect(&format!("cp -r /mnt/release {RELEASE}"));
    let said = guest.run(&format!("{RELEASE}/install.sh"));
    println!("{}", said.text);
    assert_eq!(said.code, 1, "{}", said.text);
    // The service is no root, and has no locked memory for the maps.
    let why = "this kernel is too old: Linux 5.15 or later is needed";
    assert!(said.text.contains(why), "install.sh shows what the agent said: {}", said.text);
    let checked = guest.run(&format!("{BINARY} check"));
    assert_eq!(checked.code, 1);
    let why = "this kernel is too old: it has no attach cookies for uprobes, which came with Linux 5.15";
    assert!(checked.text.contains(&format!("FATAL    uprobes              {why}")), "{}", checked.text);
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_1() {
    measures_under("6.1");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_1_service() {
    lives_under("6.1");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_12() {
    measures_under("6.12");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_12_service() {
    lives_under("6.12");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_18() {
    measures_under("6.18");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_6_18_service() {
    lives_under("6.18");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_7_3() {
    measures_under("7.3");
}

#[test]
#[ignore = "needs root and cargo xtask setup --kernels"]
fn linux_7_3_service() {
    lives_under("7.3");
}
