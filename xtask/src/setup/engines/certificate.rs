//! A TLS certificate for localhost.

use super::{Engines, Part};
use crate::step;
use anyhow::Result;
use std::fs;
use std::process::{Command, Stdio};

/// Days that a new certificate is good for.
const DAYS: &str = "365";

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[("a TLS certificate for localhost", is_valid, make)];

/// A certificate that ends within a day is not there.
fn is_valid(engines: &Engines) -> bool {
    let mut check = Command::new("openssl");
    check.args(["x509", "-noout", "-checkend", "86400", "-in"]).arg(engines.folder.join("tls/cert.pem"));
    let valid = check.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    valid && engines.folder.join("tls/key.pem").is_file()
}

fn make(engines: &Engines) -> Result<()> {
    let tls = engines.folder.join("tls");
    fs::create_dir_all(&tls)?;
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", "/CN=localhost"]);
    make.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    make.arg("-keyout").arg(tls.join("key.pem")).arg("-out").arg(tls.join("cert.pem"));
    step::run_quietly(&mut make)
}
