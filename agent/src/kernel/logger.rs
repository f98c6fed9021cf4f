//! Messages of the programs (aya-log), as tracing events of the target `bpf`.

use aya::Ebpf;
use aya_log::EbpfLogger;

/// The level at which kernel-side messages are compiled in and wanted.
pub const DEBUG: u8 = aya_log::Level::Debug as u8;

/// Reads the programs' messages.
pub struct KernelLog(EbpfLogger<Bridge>);

impl KernelLog {
    /// Takes the log map out of a loaded object; `None` when nobody wants to read it.
    pub(super) fn take(ebpf: &mut Ebpf, wanted: bool) -> Option<KernelLog> {
        if !wanted {
            return None;
        }
        EbpfLogger::init_with_logger(ebpf, Bridge).ok().map(KernelLog)
    }

    /// Writes what has gathered.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        tracing::debug!(target: "bpf", "{}", record.args());
    }

    fn flush(&self) {}
}
