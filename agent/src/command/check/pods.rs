//! Where the names of pods and the holders of devices come from, or why they do not.

use crate::config;
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::{self, Refusal};
use crate::host::findings::{Finding, Verdict};
use crate::host::workload::{Names, NoNames};
use std::path::Path;

/// Looks at the folder of links, and asks the kubelet once.
pub(super) fn findings(config: &config::Pods) -> Vec<Finding> {
    let named = Names::new(&config.links).count();
    let allotted = if config.resources.is_empty() { None } else { Some(ask(Path::new(&config.resources))) };
    if matches!((&named, &allotted), (Err(NoNames::Absent(_)), Some(Err(Refusal::NoSocket(_))))) {
        return vec![Finding::new("pods", Verdict::Ok, "none: neither a kubelet's links nor its socket is here")];
    }
    let names = match named {
        Ok(count) => Finding::new("pods' names", Verdict::Ok, format!("{count} links in {}", config.links)),
        Err(NoNames::Off) => Finding::new("pods' names", Verdict::Ok, "not read: pods.links is empty"),
        Err(why) => Finding::new("pods' names", Verdict::Missing, format!("servers in pods have no names: {why}")),
    };
    let devices = match allotted {
        None => Finding::new("pods' devices", Verdict::Ok, "not asked for: pods.resources is empty"),
        Some(Ok(allotments)) => Finding::new("pods' devices", Verdict::Ok, format!("{} are given", allotments.len())),
        Some(Err(why)) => Finding::new("pods' devices", Verdict::Missing, format!("GPUs have no pods: {why}")),
    };
    vec![names, devices]
}

fn ask(socket: &Path) -> Result<Allotments, Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refusal::Failed(error.to_string()))?;
    runtime.block_on(kubelet::list(socket)).map(|list| Allotments::of(&list))
}
