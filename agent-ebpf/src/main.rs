//! Programs for the BPF target.
fn main() {}
