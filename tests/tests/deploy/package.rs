//! The deb and the rpm, each installed on a host by its own program, upgraded in vain, and removed.

use crate::host::Init;
use crate::lifecycle::removed;
use crate::site::{PACKAGES, RELEASE, Site};
use crate::tool::{output, tool};

const BINARY: &str = "/usr/bin/inferscope";
const FILES: [&str; 6] = [
    "/etc/inferscope/inferscope.yaml",
    "/usr/bin/inferscope",
    "/usr/lib/systemd/system/inferscope.service",
    "/usr/share/doc/inferscope/LICENSE-APACHE",
    "/usr/share/doc/inferscope/LICENSE-MIT",
    "/usr/share/doc/inferscope/install.md",
];

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn both_packages_hold_the_same_files() {
    let rpm = output(tool("rpm").args(["-qlp", "--nosignature"]).arg(crate::site::artefact(".rpm")));
    assert_eq!(rpm.lines().collect::<Vec<_>>(), FILES);
    let deb = output(std::process::Command::new("dpkg-deb").arg("-c").arg(crate::site::artefact(".deb")));
    let files = deb.lines().filter(|line| !line.ends_with('/'));
    let names: Vec<_> = files.filter_map(|line| line.rsplit_once(" .").map(|(_, name)| name)).collect();
    assert_eq!(names, FILES);
}

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn the_deb_is_installed_upgraded_and_removed() {
    let site = Site::new(Init::Systemd);
    // Another release: the same files, a higher version, an agent that ends when it should work.
    let broken = r#"printf '#!/bin/sh\n[ "$1" != run ] || exit 1\nexec /opt/good "$@"\n' >/opt/bad/usr/bin/inferscope"#;
    site.host.expect(&format!(
        "dpkg-deb -R {PACKAGES}/*.deb /opt/bad && cp /opt/bad/usr/bin/inferscope /opt/good && {broken} && \
         sed -i 's/^Version: .*/Version: 9.9.9/' /opt/bad/DEBIAN/control && dpkg-deb -b /opt/bad /opt/inferscope_9.9.9.deb"
    ));
    lifecycle(&site, &format!("{PACKAGES}/*.deb"), "/opt/inferscope_9.9.9.deb");
    assert_eq!(site.host.run("dpkg-query -W inferscope").code, Some(1), "dpkg has forgotten it");
}

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn the_rpm_is_installed_and_removed() {
    let site = Site::new(Init::Systemd);
    // This host is a Debian: its database of rpms knows of no libc.
    site.host.expect(&format!("rpm --install --nodeps {PACKAGES}/*.rpm"));
    site.host.expect("inferscope health --wait 60");
    site.sees_requests();
    removed(&site, BINARY);
}

/// Installed, seen to work, upgraded in vain, removed.
fn lifecycle(site: &Site, package: &str, broken: &str) {
    let configured = site.host.read("/etc/inferscope/inferscope.yaml");
    println!("{}", site.host.expect(&format!("{RELEASE}/install.sh --from {package}")));
    site.sees_requests();
    let failed = site.host.run(&format!("{RELEASE}/install.sh --upgrade --from {broken}"));
    assert_eq!(failed.code, Some(1), "{}", failed.text);
    assert!(failed.text.contains("The version before runs again."), "{}", failed.text);
    site.host.expect(&format!("cmp {BINARY} /opt/good"));
    site.sees_requests();
    assert_eq!(site.host.read("/etc/inferscope/inferscope.yaml"), configured, "the operator's configuration stays");
    let beside = site.host.run(&format!("{RELEASE}/install.sh"));
    assert!(beside.text.contains("it is installed as a package"), "{}", beside.text);
    removed(site, BINARY);
}
