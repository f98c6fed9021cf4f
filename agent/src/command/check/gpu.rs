//! GPUs that can be read, and what of each can not.

use crate::config;
use crate::host::clock;
use crate::host::findings::{Finding, Verdict};
use crate::host::gpu::drm::Drm;
use crate::host::gpu::nvml::{Library, Memory, Place, Session};
use crate::host::gpu::view::{Absence, Device, SourceState};
use crate::host::gpu::watch;
use std::path::Path;

/// Reads every device once.
pub(super) fn findings(config: &config::Gpu) -> Vec<Finding> {
    if !config.enabled {
        return vec![Finding::new("GPU", Verdict::Ok, "not read: gpu.enabled is false")];
    }
    let mut findings = nvml(config);
    let mut drm = Drm::new(Path::new("/sys"), Path::new("/proc"), watch::intervals(config));
    drm.turn(clock::now());
    match drm.source().state {
        SourceState::Absent(why) => findings.push(Finding::new("DRM", Verdict::Missing, why)),
        SourceState::Working { .. } => {
            findings.push(Finding::new("DRM", Verdict::Ok, format!("{} devices", drm.devices().count())));
            findings.extend(drm.devices().map(device));
        }
    }
    findings
}

fn nvml(config: &config::Gpu) -> Vec<Finding> {
    let library = match Library::open(&Place::new(&config.library)) {
        Ok(library) => library,
        Err(why) => return vec![Finding::new("NVML", Verdict::Missing, format!("no figures of NVIDIA GPUs: {why}"))],
    };
    let (mut memory, now) = (Memory::default(), clock::now());
    let mut session = Session::new(&library, watch::intervals(config), now);
    // What ends a session would make the agent open it again; what was read until then is worth showing.
    let _ = session.turn(now, &mut memory);
    let devices = session.devices(&memory);
    let file = library.file().map_or_else(String::new, |file| format!(" ({})", file.display()));
    let detail = format!("driver {}, {} devices{file}", library.driver, devices.len());
    let mut findings = vec![Finding::new("NVML", Verdict::Ok, detail)];
    if let SourceState::Working { problems, .. } = session.source().state {
        findings.extend(problems.into_iter().map(|problem| Finding::new("NVML", Verdict::Missing, problem)));
    }
    findings.extend(devices.iter().map(device));
    findings
}

fn device(device: &Device) -> Finding {
    let Device { index, uuid, name, instances, processes, readings, .. } = device;
    let mut detail = format!("{name} {uuid}");
    if !instances.is_empty() {
        let profiles: Vec<&str> = instances.iter().map(|instance| &*instance.profile).collect();
        detail.push_str(&format!("; MIG: {}", profiles.join(", ")));
    }
    match processes {
        Ok(processes) => detail.push_str(&format!("; {} processes", processes.len())),
        Err(why) => detail.push_str(&format!("; processes are not told: {why}")),
    }
    // One look tells no difference between two.
    for (why, quantities) in readings.absent(|why| *why != Absence::NotYet) {
        detail.push_str(&format!("; {why}: {}", quantities.join(", ")));
    }
    Finding::new(format!("GPU {index}"), Verdict::Ok, detail)
}
