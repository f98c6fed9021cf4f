//! What the core says of traffic shaped like the real vLLM's: `scene` plays it, `answers`, `endings` and `losses` are
//! tables, `groups` and `wire` are about what the processes of a server tell each other, `watched` is about jobs and who is
//! told of them, `random` holds what must be true of any input.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod asks;
mod edges;
mod endings;
mod groups;
mod inferences;
mod losses;
mod random;
mod scene;
mod watched;
mod wire;
