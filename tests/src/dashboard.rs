//! The dashboards of deploy/grafana, as far as tests ask: their panels' expressions and their variables.

use crate::repository;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The name of its file.
    pub name: String,
    /// Its file.
    pub json: String,
    /// Its panels, rows excluded.
    pub panels: Vec<Panel>,
    /// Labels to choose values of, each with the selector that the values come from.
    pub variables: BTreeMap<String, String>,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Its heading.
    pub title: String,
    /// PromQL with Grafana's variables.
    pub expressions: Vec<String>,
}

/// All of them.
#[must_use]
pub fn dashboards() -> Vec<Dashboard> {
    let folder = repository("deploy/grafana");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("deploy/grafana").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| Dashboard::read(file)).collect()
}

impl Dashboard {
    fn read(file: &Path) -> Dashboard {
        let json = fs::read_to_string(file).expect("a dashboard");
        let board: Value = serde_json::from_str(&json).expect("JSON");
        let list = |path: &str| board.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
        Dashboard {
            name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            panels: list("/panels").iter().filter(|panel| panel["type"] != "row").map(Panel::read).collect(),
            variables: list("/templating/list").iter().filter_map(variable).collect(),
            json,
        }
    }
}

impl Panel {
    fn read(panel: &Value) -> Panel {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        Panel {
            title: panel["title"].as_str().unwrap_or_default().to_owned(),
            expressions: targets.iter().filter_map(|target| Some(target["expr"].as_str()?.to_owned())).collect(),
        }
    }
}

/// `label_values(SELECTOR, LABEL)`; the choice of a data source is none.
fn variable(variable: &Value) -> Option<(String, String)> {
    let query = variable["query"]["query"].as_str()?;
    let (selector, label) = query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")?;
    assert_eq!(variable["name"], label, "a variable is called as its label");
    Some((label.to_owned(), selector.to_owned()))
}
