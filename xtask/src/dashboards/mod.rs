//! `cargo xtask dashboards`: writes deploy/grafana and docs/dashboards.md from the descriptions in this folder.
//!
//! Grafana's JSON is long, and its parts depend on each other (ids, places, names of variables): Grafana and tests read it,
//! nobody writes it. A test fails when the files are not what the descriptions say.

mod agent;
mod board;
mod fleet;
mod gpu;
mod images;
mod json;
mod llm;
mod page;
mod promql;
mod triton;

use crate::workspace;
use anyhow::{Context, Result};
use board::Board;
use std::fs;

/// Where dashboards are, from the root of the workspace.
const FOLDER: &str = "deploy/grafana";

/// All of them, in the order of docs/dashboards.md.
fn boards() -> Vec<Board> {
    vec![llm::board(), images::board(), triton::board(), gpu::board(), agent::board(), fleet::board()]
}

/// Paths and contents of all that is generated.
fn files() -> Result<Vec<(String, String)>> {
    let boards = boards();
    let mut files = vec![("docs/dashboards.md".to_owned(), page::of(&boards))];
    for board in &boards {
        let json = serde_json::to_string_pretty(&json::of(board))?;
        files.push((format!("{FOLDER}/{}.json", board.name), format!("{json}\n")));
    }
    Ok(files)
}

/// Runs the command.
pub fn run() -> Result<()> {
    for (path, text) in files()? {
        let path = workspace::root().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_files_are_what_the_descriptions_say() {
        for (path, text) in files().unwrap() {
            let file = fs::read_to_string(workspace::root().join(&path)).unwrap_or_default();
            assert!(file == text, "{path} is stale: run `cargo xtask dashboards` and review the change");
        }
    }

    #[test]
    fn every_dashboard_of_the_folder_is_described() {
        let described = files().unwrap();
        for entry in fs::read_dir(workspace::root().join(FOLDER)).unwrap() {
            let path = format!("{FOLDER}/{}", entry.unwrap().file_name().to_string_lossy());
            assert!(described.iter().any(|(known, _)| *known == path), "{path} is described nowhere");
        }
    }

    #[test]
    fn every_panel_has_a_query_and_teaches() {
        for board in boards() {
            for panel in board.rows.iter().flat_map(|row| &row.panels) {
                assert!(!panel.queries.is_empty() && panel.teaches.len() > 10, "{}: {}", board.name, panel.title);
                assert!(panel.width <= 24, "{}: {}", board.name, panel.title);
            }
        }
    }
}
