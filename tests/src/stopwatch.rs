//! How long a part of a test takes. It is printed where the part begins and where it ends, so that of several scenes on
//! one server the output says which took long, and which failed.

use std::thread;
use std::time::Instant;

/// A part that runs; it says how long it took when it is dropped.
struct Running<'a> {
    name: &'a str,
    begin: Instant,
}

/// Plays a part of a test under this name.
pub fn timed<T>(name: &str, part: impl FnOnce() -> T) -> T {
    println!("--- {name}");
    let _running = Running { name, begin: Instant::now() };
    part()
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let how = if thread::panicking() { "FAILED after" } else { "took" };
        println!("--- {} {how} {:.1} s", self.name, self.begin.elapsed().as_secs_f64());
    }
}
