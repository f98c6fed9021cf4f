//! The parser of compose files that knows the whole specification.

use super::{Family, python};
use anyhow::Result;
use std::path::Path;

const PARSER: &str = "compose-spec==0.2.1";

pub const FAMILY: Family =
    Family { name: "compose", pins: &[PARSER], programs: &[("python-compose", "venv/bin/python")], make };

fn make(folder: &Path) -> Result<()> {
    python(folder, &[PARSER])
}
