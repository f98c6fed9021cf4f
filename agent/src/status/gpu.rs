//! What `/status` says of GPUs: where figures come from, and why some are absent. The figures are metrics.

use crate::host::gpu::view::{Device, GpuView, Pids, SourceState};
use serde::Serialize;
use std::collections::BTreeMap;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// The ways to read GPUs.
    pub sources: Vec<Source>,
    /// The devices that were found.
    pub devices: Vec<DeviceState>,
    /// Why processes on devices are not joined to servers; absent where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<&'static str>,
}

/// A way to read GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: &'static str,
    /// `working` or `absent`.
    pub state: &'static str,
    /// The driver's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Why it is absent, or what of it does not work.
    pub problems: Vec<String>,
}

/// A device or a MIG instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceState {
    /// Its name for good.
    pub uuid: String,
    /// What it is sold as; the profile of an instance.
    pub name: String,
    /// What is not known of it, by the reason why.
    pub absent: BTreeMap<String, Vec<&'static str>>,
}

impl Gpu {
    /// What a view says.
    #[must_use]
    pub fn of(view: &GpuView) -> Gpu {
        let sources = view.sources.iter().map(|source| match &source.state {
            SourceState::Working { driver, problems } => Source {
                name: source.name,
                state: "working",
                driver: driver.as_deref().map(str::to_owned),
                problems: problems.clone(),
            },
            SourceState::Absent(why) => {
                Source { name: source.name, state: "absent", driver: None, problems: vec![why.clone()] }
            }
        });
        let foreign =
            "the agent is not in the host's pid namespace, so the drivers' process ids mean nothing here: set hostPID";
        Gpu {
            sources: sources.collect(),
            devices: view.devices.iter().flat_map(states).collect(),
            processes: (view.pids == Pids::Foreign).then_some(foreign),
        }
    }
}

fn states(device: &Device) -> Vec<DeviceState> {
    let mut absent = device.readings.absent(|_| true);
    let more = [("throttle", device.throttle.as_ref().err()), ("processes", device.processes.as_ref().err())];
    for (name, why) in more {
        let Some(why) = why else { continue };
        absent.entry(why.to_string()).or_default().push(name);
    }
    let whole = DeviceState { uuid: device.uuid.to_string(), name: device.name.to_string(), absent };
    let instances = device.instances.iter().map(|instance| DeviceState {
        uuid: instance.uuid.to_string(),
        name: instance.profile.to_string(),
        absent: instance.readings.absent(|_| true),
    });
    std::iter::once(whole).chain(instances).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::host::gpu::Quantity;
    use crate::host::gpu::view::{self, Absence};

    #[test]
    fn what_is_absent_has_its_reason() {
        let mut device = Device { uuid: "GPU-1".into(), throttle: Ok(BTreeMap::new()), ..Device::default() };
        for quantity in Quantity::ALL {
            device.readings.set(quantity, Ok(1.0));
        }
        device.readings.set(Quantity::Fan, Err(Absence::Unsupported));
        device.readings.set(Quantity::Power, Err(Absence::Failed("it burns".into())));
        device.processes = Err(Absence::Denied);
        let source = view::Source { name: "drm", state: SourceState::Absent("no driver".into()) };
        let view = GpuView { devices: vec![device], sources: vec![source], pids: Pids::Foreign, ..GpuView::default() };
        let json = serde_json::to_value(Gpu::of(&view)).unwrap();
        let expected = serde_json::json!({
            "sources": [{"name": "drm", "state": "absent", "problems": ["no driver"]}],
            "devices": [{"uuid": "GPU-1", "name": "", "absent": {
                "denied": ["processes"], "failed: it burns": ["power"], "unsupported": ["fan"],
            }}],
            "processes": "the agent is not in the host's pid namespace, so the drivers' process ids mean nothing here: set hostPID",
        });
        assert_eq!(json, expected);
    }
}
