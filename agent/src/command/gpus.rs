//! The GPUs beside the running agent: what their thread reads goes straight to the metrics, never through the pipeline.

use crate::config::Config;
use crate::correlate::{Owner, ServerProcess};
use crate::engine;
use crate::event::Tgid;
use crate::host::gpu::watch::Watch;
use crate::metric::Metrics;
use crate::servers::{Known, ServerState};
use crate::status;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// What `/status` says of GPUs.
pub(super) type Seen = Arc<Mutex<status::gpu::Gpu>>;

/// The thread, and what it has to say. It ends when this is dropped.
pub(super) struct Gpus {
    _watch: Option<Watch>,
    seen: Seen,
}

impl Gpus {
    /// Starts it, unless the configuration says no.
    pub(super) fn start(config: &Config, metrics: Arc<Metrics>, known: Known) -> io::Result<Gpus> {
        let seen = Seen::default();
        if !config.gpu.enabled {
            return Ok(Gpus { _watch: None, seen });
        }
        let told = Arc::clone(&seen);
        let watch = Watch::start(&config.gpu, move |view| {
            metrics.gpus(&view, &servers(&known));
            *told.lock().unwrap_or_else(PoisonError::into_inner) = status::gpu::Gpu::of(&view);
        })?;
        Ok(Gpus { _watch: Some(watch), seen })
    }

    /// What is known by now.
    pub(super) fn status(&self) -> status::gpu::Gpu {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The processes of servers, for the join with processes on GPUs.
fn servers(known: &Known) -> Vec<ServerProcess> {
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.iter().filter_map(server).collect()
}

fn server(known: &ServerState) -> Option<ServerProcess> {
    let ServerState { process, service, root, model, .. } = known;
    let engine = engine::by_name(&process.engine)?.name();
    let owner = Owner { engine, service: service.clone() };
    Some(ServerProcess { tgid: Tgid(process.tgid), root: *root, owner, model: model.as_str().into() })
}
