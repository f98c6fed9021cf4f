//! The placements of real functions of real libraries, as tables that a person has checked against a disassembly.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::kernel::elf::Image;
use inferscope_ebpf::Hook;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The functions of a file that the example `wrappers` wrote.
struct Library {
    machine: Machine,
    functions: BTreeMap<String, (u64, Vec<u8>)>,
    followed: BTreeMap<u64, Vec<u8>>,
}

impl Library {
    fn parse(text: &str) -> Library {
        let (header, lines) = text.split_once('\n').unwrap();
        let machine = if header.ends_with("X86_64") { Machine::X86_64 } else { Machine::Aarch64 };
        let mut library = Library { machine, functions: BTreeMap::new(), followed: BTreeMap::new() };
        for line in lines.lines() {
            let [name, address, hex] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let address = u64::from_str_radix(address, 16).unwrap();
            let digits: Vec<char> = hex.chars().collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            let bytes = digits.chunks(2).map(byte).collect();
            match name {
                "@" => drop(library.followed.insert(address, bytes)),
                _ => drop(library.functions.insert(name.to_owned(), (address, bytes))),
            }
        }
        library
    }

    fn place(&self, hook: Hook) -> Option<Placed> {
        let (address, code) = self.functions.get(hook.name())?;
        let follow = |address| self.followed.get(&address).map(Vec::as_slice);
        let function = Function { address: *address, code, follow: &follow };
        Some(place(self.machine, &function, &Contract::of(hook)?))
    }

    /// One line a function. Addresses in it count from its first instruction, those of a callee are absolute.
    fn table(&self) -> String {
        let mut table = String::new();
        for hook in Hook::ALL {
            let Some(placed) = self.place(hook) else { continue };
            let (start, code) = self.functions.get(hook.name()).unwrap();
            let at = |address: &u64| match address.checked_sub(*start) {
                Some(offset) if offset < code.len() as u64 => format!("+{offset}"),
                _ => format!("{address:x}"),
            };
            let all = |addresses: &[u64]| addresses.iter().map(at).collect::<Vec<_>>().join(" ");
            let placement = match &placed.placement {
                Placement::BehindSyscall { sites } => format!("behind syscall {}", all(sites)),
                Placement::Joined { enter, exits } => format!("joined {} to {}", at(enter), all(exits)),
                Placement::EmulatedEntry { enter } => format!("emulated entry {}", at(enter)),
                Placement::Entry => "entry".to_owned(),
            };
            let onward = placed.passes_to.map(|to| format!(" (passes to {to:x})")).unwrap_or_default();
            let price = placed.price;
            writeln!(table, "{:<12} {placement:<28} {price:?}: {}{onward}", hook.name(), placed.reason).unwrap();
        }
        table
    }
}

macro_rules! tables {
    ($($name:ident: $file:literal,)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!($file, Library::parse(include_str!(concat!("testdata/", $file, ".txt"))).table());
        }
    )*};
}

tables! {
    glibc_2_31_x86_64: "glibc-2.31-x86_64",
    glibc_2_36_x86_64: "glibc-2.36-x86_64",
    glibc_2_41_x86_64: "glibc-2.41-x86_64",
    musl_1_2_3_x86_64: "musl-1.2.3-x86_64",
    glibc_2_31_aarch64: "glibc-2.31-aarch64",
    glibc_2_36_aarch64: "glibc-2.36-aarch64",
    glibc_2_41_aarch64: "glibc-2.41-aarch64",
    musl_1_2_3_aarch64: "musl-1.2.3-aarch64",
    openssl_3_0_x86_64: "openssl-3.0-x86_64",
    openssl_3_0_aarch64: "openssl-3.0-aarch64",
    openssl_3_5_x86_64: "openssl-3.5-x86_64",
    openssl_3_5_aarch64: "openssl-3.5-aarch64",
    libzmq_4_3_5_x86_64: "libzmq-4.3.5-x86_64",
    libzmq_4_3_5_aarch64: "libzmq-4.3.5-aarch64",
    libtritonserver_2_51_x86_64: "libtritonserver-2.51-x86_64",
    libtriton_python_2_51_x86_64: "libtriton_python-2.51-x86_64",
    libtritonserver_2_51_aarch64: "libtritonserver-2.51-aarch64",
    libtriton_python_2_51_aarch64: "libtriton_python-2.51-aarch64",
}

/// The test's own libc, as the process has it mapped: what the agent meets on this machine.
#[test]
#[cfg(target_arch = "x86_64")]
fn the_wrappers_of_this_machine_are_placed_cheaply() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let Some(path) = maps.lines().filter_map(|line| line.split(' ').next_back()).find(|path| path.contains("/libc"))
    else {
        return eprintln!("skipped: no libc is mapped, this test is linked statically");
    };
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let Some((_, release)) = text.split_once("release version 2.") else {
        return eprintln!("skipped: {path} is not glibc");
    };
    let minor: String = release.chars().take_while(char::is_ascii_digit).collect();
    let own_syscalls = minor.parse::<u32>().unwrap() <= 40;
    let image = Image::parse(&bytes).unwrap();
    let follow = |address| image.code_at(address, FOLLOWED_BYTES);
    for hook in [Hook::Recv, Hook::Send, Hook::Read, Hook::Write, Hook::Readv, Hook::Writev] {
        let symbol = image.symbol(hook.name()).unwrap();
        let function = Function { address: symbol.address, code: image.code(&symbol), follow: &follow };
        let placed = place(image.machine(), &function, &Contract::of(hook).unwrap());
        let as_expected = match &placed.placement {
            Placement::BehindSyscall { sites } => own_syscalls && sites.len() == 2,
            Placement::Joined { exits, .. } => !own_syscalls && exits.len() == 1,
            _ => false,
        };
        assert!(
            as_expected,
            "{} of glibc 2.{minor}: {placed:?}; expected two jumps behind system calls up to 2.40, from 2.41 on a call \
             joined with one jump",
            hook.name()
        );
    }
}

/// `recv` as short as it can be, with holes for what a rule must notice.
///
/// `{before} mov eax, {number}; syscall; {between} cmp rax, -4096; ja +1; {after} ret; ret`
fn recv(before: &str, number: u8, between: &str, after: &str) -> Placement {
    let hex = format!("{before}b8{number:02x}0000000f05{between}483d00f0ffff7701{after}c3c3");
    let library = Library::parse(&format!("# X86_64\nrecv 1000 {hex}"));
    library.place(Hook::Recv).unwrap().placement
}

#[test]
fn a_system_call_is_left_alone_unless_everything_about_it_is_proven() {
    let jump = |at| Placement::BehindSyscall { sites: vec![at] };
    assert_eq!(recv("", 45, "", ""), jump(0x100d));
    assert_eq!(recv("", 44, "", ""), Placement::Entry, "another system call");
    assert_eq!(recv("", 45, "31c0", ""), Placement::Entry, "xor eax, eax: the result is gone");
    assert_eq!(recv("", 45, "31ff", ""), Placement::Entry, "xor edi, edi: the descriptor is gone");
    assert_eq!(recv("", 45, "31c9", ""), jump(0x100f), "xor ecx, ecx: no matter");
    assert_eq!(recv("", 45, "ffd0", ""), Placement::Entry, "call rax");
    assert_eq!(recv("", 45, "6690", ""), jump(0x100f), "data16 nop");
    assert_eq!(recv("", 45, "06", ""), Placement::Entry, "no instruction");
    assert_eq!(recv("", 45, "", "0f05"), Placement::Entry, "a second system call");
    assert_eq!(recv("", 45, "", "ebf9"), Placement::Entry, "back to between the system call and the jump");
    assert_eq!(recv("", 45, "", "ebef"), Placement::Entry, "back to the system call");
    let around = Placement::EmulatedEntry { enter: 0x1002 };
    assert_eq!(recv("85ff740f", 45, "", ""), around, "test edi, edi; je to the return: a way without a system call");
    assert_eq!(recv("85ff7405", 45, "", ""), around, "je to the system call: another number may come with it");
    assert_eq!(recv("85ff7400", 45, "", ""), jump(0x1011), "je to the next instruction");
}

#[test]
fn an_emulated_instruction_counts_only_while_nothing_has_changed() {
    let ssl = |hook, machine, hex| {
        let name = Hook::name(hook);
        Library::parse(&format!("# {machine}\n{name} 1000 {hex}")).place(hook).unwrap().placement
    };
    let x86 = |hex| ssl(Hook::SslRead, "X86_64", hex);
    let at = |enter| Placement::EmulatedEntry { enter };
    assert_eq!(x86("53c3"), at(0x1000), "push rbx");
    assert_eq!(x86("4154c3"), at(0x1000), "push r12");
    assert_eq!(x86("31c053c3"), at(0x1002), "xor eax, eax; push rbx");
    assert_eq!(x86("4883ec0853c3"), Placement::Entry, "sub rsp, 8; push rbx");
    assert_eq!(x86("31f653c3"), Placement::Entry, "xor esi, esi; push rbx: the buffer is gone");
    assert_eq!(x86("4863d253c3"), at(0x1003), "movsxd rdx, edx; push rbx: an int");
    assert_eq!(x86("89f653c3"), Placement::Entry, "mov esi, esi; push rbx: half of a pointer is gone");
    assert_eq!(x86("31c0537f00ebfbc3"), Placement::Entry, "a loop back to the push");
    assert_eq!(x86("66e800000000c3"), Placement::Entry, "a call with a prefix is refused by the kernel");
    assert_eq!(x86("c3"), Placement::Entry);
    assert_eq!(x86(""), Placement::Entry);
    let arm = |hex| ssl(Hook::SslRead, "Aarch64", hex);
    assert_eq!(arm("400000b4c0035fd6c0035fd6"), at(0x1000), "cbz x0");
    assert_eq!(arm("5f2403d5400000b4c0035fd6"), at(0x1004), "bti c; cbz x0");
    assert_eq!(arm("3f2303d5400000b4c0035fd6"), Placement::Entry, "paciasp; cbz x0: the return address is signed");
    assert_eq!(arm("fd7bbfa9400000b4c0035fd6"), Placement::Entry, "stp x29, x30, [sp, #-16]!; cbz x0");
    assert_eq!(arm("e20301aa400000b4c0035fd6"), Placement::Entry, "mov x2, x1; cbz x0");
}

const REAL: [&str; 4] = [
    include_str!("testdata/glibc-2.36-x86_64.txt"),
    include_str!("testdata/glibc-2.41-x86_64.txt"),
    include_str!("testdata/glibc-2.36-aarch64.txt"),
    include_str!("testdata/musl-1.2.3-aarch64.txt"),
];

/// Every probe lies on the function or on bytes that were asked for.
fn lies_inside(library: &Library, hook: Hook) -> Result<(), TestCaseError> {
    let Some(placed) = library.place(hook) else { return Ok(()) };
    let (start, code) = library.functions.get(hook.name()).unwrap();
    let probes = match placed.placement {
        Placement::BehindSyscall { sites } => sites,
        Placement::Joined { enter, exits } => exits.into_iter().chain([enter]).collect(),
        Placement::EmulatedEntry { enter } => vec![enter],
        Placement::Entry => Vec::new(),
    };
    for probe in probes {
        let inside =
            |(at, bytes): (&u64, &Vec<u8>)| probe.checked_sub(*at).is_some_and(|into| into < bytes.len() as u64);
        prop_assert!(inside((start, code)) || library.followed.iter().any(inside), "{probe:x}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_place_a_probe_outside(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in prop_oneof![Just(0), Just(0x1000), Just(u64::MAX - 64), Just(u64::MAX), any::<u64>()],
        hook in prop::sample::select(&Hook::ALL[..]),
        arm: bool,
    ) {
        let machine = if arm { Machine::Aarch64 } else { Machine::X86_64 };
        let functions = BTreeMap::from([(hook.name().to_owned(), (at, bytes.clone()))]);
        lies_inside(&Library { machine, functions, followed: BTreeMap::from([(at, bytes)]) }, hook)?;
    }

    #[test]
    fn damaged_functions_place_no_probe_outside(
        text in prop::sample::select(&REAL[..]),
        hook in prop::sample::select(&Hook::ALL[..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in any::<prop::sample::Index>(),
    ) {
        let mut library = Library::parse(text);
        let Some((_, code)) = library.functions.get_mut(hook.name()) else { return Ok(()) };
        code.truncate(len.index(code.len() + 1).max(1));
        for (index, byte) in damage {
            *index.get_mut(code) = byte;
        }
        lies_inside(&library, hook)?;
    }
}
