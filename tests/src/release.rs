//! A release on a host that a test installs it on, whether that host is a layer of files or a whole machine.

/// Where the unpacked release lies.
pub const RELEASE: &str = "/opt/release";
/// Where another release lies that a test has made of it.
pub const NEW: &str = "/opt/new";
/// What install.sh installs from files.
pub const BINARY: &str = "/usr/local/bin/inferscope";
/// What makes a version of a release that starts, takes the configuration, and ends when it should work; /opt/good is one that
/// works.
pub const BROKEN: &str = r#"printf '#!/bin/sh\n[ "$1" != run ] || exit 1\nexec /opt/good "$@"\n' >inferscope"#;

/// A line of shell that makes a release in [`NEW`], which differs from the first one by what `change` does in its folder.
#[must_use]
pub fn another(change: &str) -> String {
    let sums = "rm SHA256SUMS && sha256sum * >/tmp/sums && mv /tmp/sums SHA256SUMS";
    format!("rm -rf {NEW} && cp -r {RELEASE} {NEW} && cd {NEW} && {change} && {sums}")
}
