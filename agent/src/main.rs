//! The `inferscope` command.
fn main() {}
