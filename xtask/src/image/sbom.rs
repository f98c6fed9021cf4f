//! The software bill of materials (CycloneDX 1.6): the crates that are compiled into the agent and into its BPF programs, and
//! the Debian packages whose files are beside it.
//!
//! Without a time and a serial number: the same sources give the same bill.

use super::debian::Package;
use crate::workspace;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::env::consts;

/// With this, the programs' own crates count.
const PROGRAMS: &str = "inferscope-ebpf/programs";
/// The packages that it begins with: the agent, and the programs that it carries.
const ROOTS: [&str; 2] = ["inferscope", "inferscope-ebpf"];

/// The crates of this workspace, as cargo resolves them.
struct Crates {
    packages: BTreeMap<String, Value>,
    /// What each crate is compiled with, build scripts and tests apart.
    uses: BTreeMap<String, BTreeSet<String>>,
}

/// The bill of the agent and of the packages beside it.
pub fn of(packages: &[Package]) -> Result<String> {
    let crates = Crates::read(&metadata()?)?;
    let reached = crates.reached();
    let mut components: Vec<Value> = reached.iter().filter_map(|id| crates.component(id)).collect();
    components.extend(packages.iter().map(component));
    let mut dependencies: Vec<Value> = reached.iter().filter_map(|id| crates.dependency(id)).collect();
    let roots = crates.roots().filter_map(|id| crates.purl(id));
    let parts: Vec<String> = roots.chain(packages.iter().map(purl)).collect();
    dependencies.push(json!({"ref": "image", "dependsOn": parts}));
    let image =
        json!({"type": "container", "bom-ref": "image", "name": "inferscope", "version": env!("CARGO_PKG_VERSION")});
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": image},
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

impl Crates {
    fn read(metadata: &Value) -> Result<Crates> {
        let list = |pointer: &str| metadata.pointer(pointer).and_then(Value::as_array).context("cargo metadata");
        let packages = list("/packages")?.iter().map(|package| (text(package, "id"), package.clone())).collect();
        let uses = list("/resolve/nodes")?.iter().map(|node| (text(node, "id"), used_by(node))).collect();
        Ok(Crates { packages, uses })
    }

    fn roots(&self) -> impl Iterator<Item = &String> {
        let of_ours = |package: &Value| ROOTS.contains(&text(package, "name").as_str());
        self.packages.iter().filter(move |(_, package)| of_ours(package)).map(|(id, _)| id)
    }

    /// The roots and all that they are made of.
    fn reached(&self) -> BTreeSet<&String> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = self.roots().collect();
        while let Some(id) = next.pop() {
            if reached.insert(id) {
                next.extend(self.uses.get(id).into_iter().flatten());
            }
        }
        reached
    }

    fn purl(&self, id: &str) -> Option<String> {
        let package = self.packages.get(id)?;
        Some(format!("pkg:cargo/{}@{}", text(package, "name"), text(package, "version")))
    }

    fn component(&self, id: &str) -> Option<Value> {
        let (package, purl) = (self.packages.get(id)?, self.purl(id)?);
        let (name, version) = (text(package, "name"), text(package, "version"));
        let kind = if name == ROOTS[0] { "application" } else { "library" };
        let mut component = json!({"type": kind, "bom-ref": purl, "name": name, "version": version, "purl": purl});
        // Old crates write "MIT/Apache-2.0" for what SPDX calls "MIT OR Apache-2.0".
        let license = text(package, "license").replace('/', " OR ");
        if let (Some(fields), false) = (component.as_object_mut(), license.is_empty()) {
            fields.insert("licenses".to_owned(), json!([{"expression": license}]));
        }
        Some(component)
    }

    fn dependency(&self, id: &str) -> Option<Value> {
        let uses: Vec<String> = self.uses.get(id)?.iter().filter_map(|id| self.purl(id)).collect();
        Some(json!({"ref": self.purl(id)?, "dependsOn": uses}))
    }
}

/// What is linked into a crate: for its kind cargo says null, and names those of build scripts and tests.
fn used_by(node: &Value) -> BTreeSet<String> {
    let linked = |dependency: &&Value| {
        let kinds = dependency.get("dep_kinds").and_then(Value::as_array);
        kinds.into_iter().flatten().any(|kind| kind.get("kind").is_some_and(Value::is_null))
    };
    let all = node.get("deps").and_then(Value::as_array);
    all.into_iter().flatten().filter(linked).map(|dependency| text(dependency, "pkg")).collect()
}

fn component(package: &Package) -> Value {
    let purl = purl(package);
    json!({"type": "library", "bom-ref": purl, "name": package.name, "version": package.version, "purl": purl})
}

fn purl(package: &Package) -> String {
    let Package { name, version, architecture, .. } = package;
    format!("pkg:deb/debian/{name}@{}?arch={architecture}", version.replace('+', "%2B").replace(':', "%3A"))
}

fn text(object: &Value, key: &str) -> String {
    object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn metadata() -> Result<Value> {
    let mut cargo = workspace::cargo();
    cargo.args(["metadata", "--locked", "--format-version=1", "--features", PROGRAMS, "--filter-platform"]);
    let output = cargo.arg(format!("{}-unknown-linux-gnu", consts::ARCH)).output().context("cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
