//! The ABI's structs as aya wants them: plain old data.

use inferscope_ebpf::{Conn, ConnId, Counts, Volumes};

/// A struct of the kernel ABI.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Plain<T>(pub T);

// SAFETY: repr(C), no padding (two integers of 4 bytes behind one of 8), every bit pattern valid.
#[allow(unsafe_code)]
unsafe impl aya::Pod for Plain<ConnId> {}
// SAFETY: repr(C), no padding (checked by the ABI's size assertion), every bit pattern valid.
#[allow(unsafe_code)]
unsafe impl aya::Pod for Plain<Conn> {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl aya::Pod for Plain<Volumes> {}
// SAFETY: repr(C), u64 only.
#[allow(unsafe_code)]
unsafe impl aya::Pod for Plain<Counts> {}
