//! From files: installed, installed again, upgraded, upgraded in vain, removed.

use crate::host::Init;
use crate::site::{BINARY, CONFIG, RELEASE, Site};

const UNIT: &str = "/etc/systemd/system/inferscope.service";

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn a_release_leaves_a_working_agent() {
    let site = Site::new(Init::Systemd);
    let configured = site.host.read(CONFIG);
    let said = site.host.expect(&format!("{RELEASE}/unpacked/install.sh"));
    println!("{said}");
    site.sees_requests();
}
