//! The unit, as systemd itself judges it.

use crate::host::{Host, Init};
use crate::site::{RELEASE, put_release};

const UNIT: &str = "/etc/systemd/system/inferscope.service";
/// The exposure, in tenths of `systemd-analyze security`'s points: 0 is none, 100 is all. Whoever lowers it, lowers this.
const EXPOSURE: u32 = 29;

#[test]
#[ignore = "needs root and cargo xtask setup --deploy"]
fn systemd_finds_no_fault_and_little_exposure() {
    let host = Host::start(Init::None);
    put_release(&host);
    host.expect(&format!("{RELEASE}/install.sh"));
    let verified = host.run(&format!("systemd-analyze verify {UNIT}"));
    // It ends well even where it does not know a setting; then it says so.
    assert_eq!((verified.code, verified.errors.as_str()), (Some(0), ""));

    let judged = host.expect(&format!("systemd-analyze security --offline=true --no-pager {UNIT}"));
    let words = judged.lines().find_map(|line| line.split_once("Overall exposure level for inferscope.service: "));
    let score = words.and_then(|(_, rest)| rest.split(' ').next()).expect("a score");
    println!("systemd-analyze security: {score} of 10");
    let tenths: u32 = score.replace('.', "").parse().expect("a number");
    assert!(tenths <= EXPOSURE, "exposure {score}:\n{judged}");
}
