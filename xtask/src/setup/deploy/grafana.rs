//! Grafana's own types of dashboards and panels, and the compiler that holds ours to them.

use super::{Family, npm};
use anyhow::Result;
use std::path::Path;

const SCHEMA: &str = "@grafana/schema@12.4.11";
const COMPILER: &str = "typescript@5.9.3";

pub const FAMILY: Family =
    Family { name: "grafana", pins: &[SCHEMA, COMPILER], programs: &[("tsc", "node_modules/.bin/tsc")], make };

fn make(folder: &Path) -> Result<()> {
    npm(folder, &[SCHEMA, COMPILER])
}
