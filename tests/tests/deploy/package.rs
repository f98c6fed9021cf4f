//! The deb and the rpm, each installed on a host by its own program, upgraded in vain and in earnest, and removed.

use crate::host::{Host, Init};
use crate::lifecycle::removed;
use crate::site::{CONFIG, NEW, PACKAGES, RELEASE, Site};
use crate::tool::{output, tool};
use inferscope_tests::release::BROKEN;
use inferscope_tests::repository;
use std::fs;

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
    lifecycle("deb");
}

#[test]
#[ignore = "needs root, eBPF and cargo xtask setup --deploy"]
fn the_rpm_is_installed_upgraded_and_removed() {
    lifecycle("rpm");
}

/// Installed, seen to work, upgraded in vain, removed.
fn lifecycle(kind: &str) {
    let site = Site::new(Init::Systemd);
    if kind == "rpm" {
        knows_of_its_libraries(&site.host);
    }
    let configured = site.host.read(CONFIG);
    println!("{}", site.host.expect(&format!("{RELEASE}/install.sh --from {PACKAGES}/*.{kind}")));
    site.sees_requests();

    site.another_release(&format!("cp inferscope /opt/good && {BROKEN}"));
    let broken = packaged(&site.host, kind, "9.9.9");
    let failed = site.host.run(&format!("{RELEASE}/install.sh --upgrade --from {broken}"));
    assert_eq!(failed.code, Some(1), "{}", failed.text);
    assert!(failed.text.contains("The version before runs again."), "{}", failed.text);
    site.host.expect(&format!("cmp {BINARY} /opt/good"));
    site.sees_requests();
    assert_eq!(site.host.read(CONFIG), configured, "the operator's configuration stays");
    let beside = site.host.run(&format!("{RELEASE}/install.sh"));
    assert!(beside.text.contains("it is installed as a package"), "{}", beside.text);

    // A program does not mind a byte behind its end.
    site.another_release("printf x >>inferscope");
    let next = packaged(&site.host, kind, "9.9.10");
    site.host.expect(&format!("{RELEASE}/install.sh --upgrade --from {next}"));
    site.host.expect(&format!("cmp {BINARY} {NEW}/inferscope"));
    site.sees_requests();
    removed(&site, BINARY);
    let known = site.host.run(if kind == "deb" { "dpkg-query -W inferscope" } else { "rpm -q inferscope" });
    assert_eq!(known.code, Some(1), "forgotten: {}", known.text);
}

/// Makes a package of the release in [`NEW`], as `cargo xtask dist` does. Returns its path on the host.
fn packaged(host: &Host, kind: &str, version: &str) -> String {
    let name = format!("/opt/inferscope-{version}.{kind}");
    let mut nfpm = tool("nfpm");
    nfpm.args(["package", "--config", "deploy/packages/nfpm.yaml", "--packager", kind, "--target"])
        .arg(host.path(&name));
    nfpm.env("STAGE", host.path(NEW)).env("ARCH", "all").env("VERSION", version);
    output(nfpm.current_dir(repository(".")));
    name
}

/// This host is a Debian: what its rpm is told here stands for the libraries that dpkg knows of.
fn knows_of_its_libraries(host: &Host) {
    let config = "name: libraries\nversion: 1.0.0\narch: all\nprovides: [glibc, libgcc, shadow-utils]\n";
    fs::write(host.path("/opt/libraries.yaml"), config).expect("the host is writable");
    let mut nfpm = tool("nfpm");
    nfpm.args(["package", "--packager", "rpm", "--config"]).arg(host.path("/opt/libraries.yaml"));
    output(nfpm.arg("--target").arg(host.path("/opt/libraries.rpm")));
    host.expect("rpm --install /opt/libraries.rpm");
}
