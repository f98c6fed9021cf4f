//! The settings that are not plain values: external labels, engines, servers named by hand, the source of events.

use super::problem::{Path, Problems};
use super::rule::{filled, label_name, workflow_hash};
use super::setting::{Setting, entries, entry, items, key_name, mapping, settings};
use super::suggest::did_you_mean;
use super::yaml::{Entry, Yaml};
use crate::engine::{self, ENGINES};
use serde_yaml::Value;
use std::collections::BTreeMap;

/// External labels: name and value, on every metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// Names of workflows, by their hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workflows(pub BTreeMap<String, String>);

settings! {
    /// Settings of one engine.
    EngineSettings {
        /// Look for such servers.
        enabled: bool = true;
    }
}

/// Settings of every engine of this build, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Engines(pub BTreeMap<&'static str, EngineSettings>);

/// Servers named by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(pub Vec<ServerRule>);

/// "A process whose command line contains this is such a server."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRule {
    /// Name of an engine in [`ENGINES`].
    pub engine: &'static str,
    /// Text that the command line, its arguments joined by blanks, contains.
    pub argv: String,
    /// The server's name; derived where absent.
    pub service: Option<String>,
}

impl Setting for Labels {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut labels = BTreeMap::new();
        for (key, value) in mapping(value, path, problems)? {
            let name = key_name(key);
            let path = path.key(&name);
            if let Err(wrong) = label_name(&name) {
                problems.add(&path, wrong);
            }
            if let Some(value) = String::read(value, &path, problems) {
                labels.insert(name, value);
            }
        }
        Some(Labels(labels))
    }

    fn write(&self) -> Yaml {
        let entry =
            |(key, value): (&String, &String)| Entry { comment: &[], key: key.clone(), value: Yaml::text(value) };
        Yaml::Section(self.0.iter().map(entry).collect())
    }
}

impl Setting for Workflows {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut workflows = BTreeMap::new();
        for (key, value) in mapping(value, path, problems)? {
            let hash = key_name(key);
            let path = path.key(&hash);
            if let Err(wrong) = workflow_hash(&hash) {
                problems.add(&path, wrong);
            }
            let Some(name) = String::read(value, &path, problems) else { continue };
            if let Err(wrong) = filled(&name) {
                problems.add(&path, wrong);
            }
            workflows.insert(hash, name);
        }
        Some(Workflows(workflows))
    }

    fn write(&self) -> Yaml {
        let entry =
            |(key, value): (&String, &String)| Entry { comment: &[], key: quoted(key), value: Yaml::text(value) };
        Yaml::Section(self.0.iter().map(entry).collect())
    }
}

/// A hash as a key: one of digits alone would be a number.
fn quoted(hash: &str) -> String {
    format!("{hash:?}")
}

impl Engines {
    /// Whether to look for servers of this engine.
    #[must_use]
    pub fn enabled(&self, engine: &str) -> bool {
        self.0.get(engine).is_some_and(|settings| settings.enabled)
    }
}

impl Default for Engines {
    fn default() -> Self {
        Engines(ENGINES.iter().map(|engine| (engine.name(), EngineSettings::default())).collect())
    }
}

impl Setting for Engines {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let names: Vec<_> = engine_names().collect();
        let found = entries(value, path, &names, problems)?;
        let mut engines = Engines::default();
        for (name, settings) in &mut engines.0 {
            let Some((value, path)) = entry(found, path, name) else { continue };
            if let Some(read) = EngineSettings::read(value, &path, problems) {
                *settings = read;
            }
        }
        Some(engines)
    }

    fn write(&self) -> Yaml {
        let entry = |(key, value): (&&str, &EngineSettings)| Entry {
            comment: &[],
            key: (*key).to_owned(),
            value: value.write(),
        };
        Yaml::Section(self.0.iter().map(entry).collect())
    }
}

impl Setting for Servers {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let mut rules = Vec::new();
        for (index, value) in items(value, path, problems)?.iter().enumerate() {
            rules.extend(ServerRule::read(value, &path.index(index), problems));
        }
        Some(Servers(rules))
    }

    fn write(&self) -> Yaml {
        Yaml::List(self.0.iter().map(Setting::write).collect())
    }
}

impl Setting for ServerRule {
    fn read(value: &Value, path: &Path, problems: &mut Problems) -> Option<Self> {
        let found = entries(value, path, &["engine", "argv", "service"], problems)?;
        let mut text = |name| match entry(found, path, name) {
            Some((value, path)) => {
                let text = String::read(value, &path, problems)?;
                filled(&text).map_err(|wrong| problems.add(&path, wrong)).ok()?;
                Some(text)
            }
            None if name == "service" => None,
            None => {
                problems.add(path, format!("`{name}` is missing"));
                None
            }
        };
        let (name, argv, service) = (text("engine"), text("argv"), text("service"));
        let name = name?;
        let Some(engine) = engine::by_name(&name) else {
            let known = engine_names().collect::<Vec<_>>().join(", ");
            let hint = did_you_mean(&name, engine_names());
            problems.add(&path.key("engine"), format!("no engine is named {name:?}{hint} (known: {known})"));
            return None;
        };
        Some(ServerRule { engine: engine.name(), argv: argv?, service })
    }

    fn write(&self) -> Yaml {
        let text = |key: &str, value: &str| Entry { comment: &[], key: key.to_owned(), value: Yaml::text(value) };
        let mut entries = vec![text("engine", self.engine), text("argv", &self.argv)];
        entries.extend(self.service.as_ref().map(|service| text("service", service)));
        Yaml::Section(entries)
    }
}

fn engine_names() -> impl Iterator<Item = &'static str> {
    ENGINES.iter().map(|engine| engine.name())
}
