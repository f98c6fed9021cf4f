//! Where the names of pods, the holders of devices, and labels and owners come from, or why they do not.

use crate::config;
use crate::export::otlp::environment;
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::{Kubelet, Refusal};
use crate::host::findings::{Finding, Verdict};
use crate::host::inquiry::Question;
use crate::host::metadata::Metadata;
use crate::host::metadata::source::{Refusal as Unread, Source};
use crate::host::workload::{Names, NoNames};
use std::path::PathBuf;

/// Looks at the folder of links, and asks everybody once.
pub(super) fn findings(config: &config::Pods) -> Vec<Finding> {
    let named = Names::new(&config.links).count();
    let described = described(&config.metadata);
    let allotted = if config.resources.is_empty() { None } else { Some(allotted(&config.resources)) };
    if matches!((&named, &allotted), (Err(NoNames::Absent(_)), Some(Err(Refusal::NoSocket(_))))) {
        let none = Finding::new("pods", Verdict::Ok, "none: neither a kubelet's links nor its socket is here");
        return [none].into_iter().chain(described).collect();
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
    [names, devices].into_iter().chain(described).collect()
}

fn allotted(socket: &str) -> Result<Allotments, Refusal> {
    ask(&Kubelet(PathBuf::from(socket)), |error| Refusal::Failed(error.to_string()))
}

/// `None` where the configuration wants none.
fn described(config: &config::Metadata) -> Option<Finding> {
    let answer = match Source::new(config, environment::process) {
        Ok(None) => return None,
        Ok(Some(source)) => {
            ask(&source, |error| Unread::Unreachable(error.to_string())).map_err(|refusal| refusal.to_string())
        }
        Err(unsaid) => Err(unsaid.to_string()),
    };
    Some(match answer {
        Ok(metadata) => Finding::new("pods' labels", Verdict::Ok, told(&metadata)),
        Err(why) => Finding::new("pods' labels", Verdict::Missing, format!("pods have no labels and owners: {why}")),
    })
}

fn told(metadata: &Metadata) -> String {
    let node = metadata.node.as_ref().map(|node| format!(" of {node}")).unwrap_or_default();
    format!("labels and owners of {} pods{node}", metadata.len())
}

fn ask<Q: Question>(question: &Q, failed: impl Fn(std::io::Error) -> Q::Refusal) -> Result<Q::Answer, Q::Refusal> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(question.ask())
}
