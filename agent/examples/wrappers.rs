//! Prints the bytes of every function that Inferscope may probe in a library, one line each: name, address, hex.
//!
//! `cargo run -p inferscope --example wrappers -- LIBRARY "PACKAGE VERSION"` makes the test data of
//! agent/src/kernel/placement. A name `@` stands for bytes that placement asked for when it followed a call.

use inferscope::kernel::elf::Image;
use inferscope::kernel::placement::{Contract, FOLLOWED_BYTES, Function, place};
use inferscope_ebpf::Hook;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, package] = arguments.as_slice() else { anyhow::bail!("usage: wrappers LIBRARY \"PACKAGE VERSION\"") };
    let bytes = std::fs::read(library)?;
    let image = Image::parse(&bytes)?;
    println!("# {package}, {:?}", image.machine());
    let followed: RefCell<BTreeMap<u64, &[u8]>> = RefCell::default();
    let follow = |address| {
        let code = image.code_at(address, FOLLOWED_BYTES)?;
        followed.borrow_mut().insert(address, code);
        Some(code)
    };
    for hook in Hook::ALL {
        let Some((contract, symbol)) = Contract::of(hook).zip(image.symbol(hook.name())) else { continue };
        let function = Function { address: symbol.address, code: image.code(&symbol), follow: &follow };
        let placed = place(image.machine(), &function, &contract);
        eprintln!("{}: {} ({})", hook.name(), placed.reason, placed.price.text());
        println!("{} {:x} {}", hook.name(), symbol.address, hex(function.code)?);
    }
    for (address, code) in followed.into_inner() {
        println!("@ {address:x} {}", hex(code)?);
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> Result<String, std::fmt::Error> {
    bytes.iter().try_fold(String::new(), |mut text, byte| write!(text, "{byte:02x}").map(|()| text))
}
