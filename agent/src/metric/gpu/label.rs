//! The label sets of GPUs and of the processes on them.

use super::super::label::Server;
use crate::service::{Service, Workload};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::fmt;
use std::sync::Arc;

/// A device or a MIG instance. Shared, because each of its metrics has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfGpu(pub Arc<Gpu>);

/// What tells a device or a MIG instance from others; the four before the last are empty on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Gpu {
    pub device: Arc<str>,
    pub name: Arc<str>,
    pub uuid: Arc<str>,
    pub vendor: &'static str,
    pub mig_device: Arc<str>,
    pub mig_profile: Arc<str>,
    pub gi: Option<u32>,
    pub ci: Option<u32>,
    #[prometheus(flatten)]
    pub holder: Holder,
}

/// The container that has a device or an instance, where it is one only: absent labels else.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(pub Option<Arc<Workload>>);

impl EncodeLabelSet for Holder {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let mut labels = self.0.iter().flat_map(|workload| workload.labels());
        labels.try_for_each(|(name, value)| (name, &**value).encode(encoder.encode_label()))
    }
}

impl EncodeLabelSet for OfGpu {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.encode(encoder)
    }
}

/// `gpu_info`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct About {
    #[prometheus(flatten)]
    pub gpu: OfGpu,
    pub pci_bus_id: Arc<str>,
    pub driver_version: Arc<str>,
}

/// By what slows it down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Slowed {
    #[prometheus(flatten)]
    pub gpu: OfGpu,
    pub reason: &'static str,
}

/// By the number of an error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByXid {
    #[prometheus(flatten)]
    pub gpu: OfGpu,
    pub xid: u64,
}

/// By the kind of memory error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct ByErrorType {
    #[prometheus(flatten)]
    pub gpu: OfGpu,
    pub r#type: &'static str,
}

/// A server on a device or an instance, or those processes there that belong to none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    pub uuid: Arc<str>,
    pub mig_device: Arc<str>,
    pub engine: &'static str,
    pub model: Arc<str>,
    pub service: Service,
    /// Where the configuration wants it.
    pub pid: Option<u32>,
}

impl EncodeLabelSet for Tenant {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let Tenant { uuid, mig_device, engine, model, service, pid } = self;
        ("uuid", &**uuid).encode(encoder.encode_label())?;
        ("mig_device", &**mig_device).encode(encoder.encode_label())?;
        ("engine", *engine).encode(encoder.encode_label())?;
        ("model", &**model).encode(encoder.encode_label())?;
        service.encode(encoder)?;
        let Some(pid) = pid else { return Ok(()) };
        ("pid", *pid).encode(encoder.encode_label())
    }
}

/// A tenant's share, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Share {
    #[prometheus(flatten)]
    pub tenant: Tenant,
    pub attribution: &'static str,
}

/// A server's share, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Credited {
    #[prometheus(flatten)]
    pub server: Server,
    pub attribution: &'static str,
}

/// By what a server's GPU suffered from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct Impaired {
    #[prometheus(flatten)]
    pub server: Server,
    pub condition: &'static str,
}
