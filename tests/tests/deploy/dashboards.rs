//! deploy/grafana: every expression asks for what there is, and every file is what Grafana's own types say.

use crate::known::unknown;
use crate::tool::{of_family, output};
use inferscope_tests::dashboard::{Dashboard, dashboards};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

#[test]
fn every_expression_asks_for_metrics_and_labels_that_there_are() {
    let mut problems = Vec::new();
    for Dashboard { name, panels, variables, .. } in dashboards() {
        let expressions = panels.iter().flat_map(|panel| panel.expressions.iter().map(|text| (&panel.title, text)));
        for (title, expression) in expressions {
            let found = unknown(expression, &BTreeSet::new());
            problems.extend(found.iter().map(|problem| format!("{name}, {title}: {problem}")));
        }
        for (variable, selector) in variables {
            let mut found = unknown(&selector, &BTreeSet::new());
            found.extend(unknown(&format!("sum by ({variable}) ({selector})"), &BTreeSet::new()));
            problems.extend(found.iter().map(|problem| format!("{name}, variable {variable}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn every_variable_of_an_expression_is_declared() {
    for Dashboard { name, panels, variables, .. } in dashboards() {
        for panel in panels {
            for expression in &panel.expressions {
                let used = expression.split("=~\"$").skip(1).filter_map(|rest| rest.split('"').next());
                for variable in used {
                    assert!(variables.contains_key(variable), "{name}, {}: ${variable}", panel.title);
                }
            }
        }
    }
}

#[test]
#[ignore = "needs cargo xtask setup --deploy"]
fn the_files_are_of_grafanas_types() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy-grafana");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    symlink(of_family("grafana/node_modules"), folder.join("node_modules")).expect("a link");
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/dashboard.ts");
    fs::copy(types, folder.join("dashboard.ts")).expect("our use of the types");
    let compile = |json: &dyn Fn(&Dashboard) -> String| {
        let mut compiler = Command::new(of_family("grafana/node_modules/.bin/tsc"));
        compiler.args(["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "node", "--target", "es2020"]);
        for dashboard in dashboards() {
            let file = folder.join(format!("{}.ts", dashboard.name));
            let import = "import type { Ours } from \"./dashboard\";\n";
            fs::write(&file, format!("{import}export const board: Ours = {};\n", json(&dashboard))).expect("a file");
            compiler.arg(file);
        }
        compiler
    };
    output(&mut compile(&|dashboard| dashboard.json.clone()));
    // The types are strict: what Grafana would silently ignore is found.
    for (right, wrong) in [(r#""unit": "#, r#""units": "#), (r#""drawStyle": "line""#, r#""drawStyle": "lines""#)] {
        let broken = compile(&|dashboard| dashboard.json.replace(right, wrong)).output().expect("the compiler");
        assert!(!broken.status.success(), "{wrong} is not found");
    }
}
