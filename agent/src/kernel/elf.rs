//! An ELF file as attaching needs it: where a function is, its bytes, and the file offset that a uprobe takes.
//!
//! Bytes in, answers out: it opens nothing and knows no function by name. Only 64-bit little-endian files, which is what
//! x86-64 and arm64 hosts run.

use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, Sym, SymbolTable, VersionTable};
use object::{Endianness, SymbolIndex};

/// Bytes taken for a function whose symbol states no size and that no other symbol follows.
const UNSIZED_BYTES: u64 = 512;

type Header = FileHeader64<Endianness>;

/// Why a file cannot be read as an ELF image.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The parser's own complaint.
    #[error("not a readable 64-bit ELF file: {0}")]
    Malformed(#[from] object::Error),
}

/// The instruction set of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// One that placement does not read.
    Other,
}

/// A defined function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its virtual address in the image.
    pub address: u64,
    /// Its size as stated; 0 where the linker did not say.
    pub size: u64,
}

/// A parsed file; borrows its bytes.
pub struct Image<'a> {
    machine: Machine,
    endian: Endianness,
    bytes: &'a [u8],
    loads: Vec<Load>,
    build_id: Option<&'a [u8]>,
    exported: SymbolTable<'a, Header>,
    local: SymbolTable<'a, Header>,
    versions: Option<VersionTable<'a, Header>>,
}

/// One PT_LOAD segment: `bytes` of the file at `offset` appear at `address`.
#[derive(Clone, Copy)]
struct Load {
    address: u64,
    offset: u64,
    bytes: u64,
}

impl Load {
    /// How far into the segment `address` lies, or `None` when the file holds nothing for it.
    fn position(self, address: u64) -> Option<u64> {
        let into = address.checked_sub(self.address)?;
        (into < self.bytes).then_some(into)
    }
}

impl<'a> Image<'a> {
    /// Reads headers, segments and symbol tables.
    ///
    /// # Errors
    /// When the bytes are not a 64-bit ELF file or its tables lie outside of it. Missing tables are not an error: such an
    /// image has no symbols.
    pub fn parse(bytes: &'a [u8]) -> Result<Image<'a>, ElfError> {
        let header = Header::parse(bytes)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, bytes)?;
        let segments = header.program_headers(endian, bytes)?;
        let mut build_id = None;
        for segment in segments {
            let Ok(Some(mut notes)) = segment.notes(endian, bytes) else { continue };
            while let Ok(Some(note)) = notes.next() {
                if note.name() == elf::ELF_NOTE_GNU && note.n_type(endian) == elf::NT_GNU_BUILD_ID {
                    build_id = Some(note.desc());
                }
            }
        }
        Ok(Image {
            machine: match header.e_machine(endian) {
                elf::EM_X86_64 => Machine::X86_64,
                elf::EM_AARCH64 => Machine::Aarch64,
                _ => Machine::Other,
            },
            endian,
            bytes,
            loads: segments
                .iter()
                .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
                .map(|segment| Load {
                    address: segment.p_vaddr(endian),
                    offset: segment.p_offset(endian),
                    bytes: segment.p_filesz(endian),
                })
                .collect(),
            build_id,
            exported: sections.symbols(endian, bytes, elf::SHT_DYNSYM)?,
            local: sections.symbols(endian, bytes, elf::SHT_SYMTAB)?,
            versions: sections.versions(endian, bytes)?,
        })
    }

    /// The instruction set.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The GNU build id, where the linker wrote one.
    #[must_use]
    pub fn build_id(&self) -> Option<&'a [u8]> {
        self.build_id
    }

    /// The function of that name: from the dynamic table (default version), else from the full one.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Symbol> {
        let exported = self.exported.enumerate().find(|&(index, symbol)| {
            self.is_function(symbol)
                && !self.is_old_version(index)
                && self.exported.symbol_name(self.endian, symbol) == Ok(name.as_bytes())
        });
        let found = exported.or_else(|| {
            self.local.enumerate().find(|&(_, symbol)| {
                let Ok(full) = self.local.symbol_name(self.endian, symbol) else { return false };
                self.is_function(symbol) && default_version(full) == Some(name.as_bytes())
            })
        });
        found.map(|(_, symbol)| Symbol { address: symbol.st_value(self.endian), size: symbol.st_size(self.endian) })
    }

    /// The bytes of a function; fewer than its size where the file ends before it does.
    #[must_use]
    pub fn code(&self, symbol: &Symbol) -> &'a [u8] {
        let size = match symbol.size {
            0 => self.distance_to_next(symbol.address).unwrap_or(UNSIZED_BYTES),
            stated => stated,
        };
        self.code_at(symbol.address, size).unwrap_or_default()
    }

    /// At most `len` bytes at a virtual address, fewer at the end of the segment; `None` where nothing is loaded.
    #[must_use]
    pub fn code_at(&self, address: u64, len: u64) -> Option<&'a [u8]> {
        let (load, into) = self.loads.iter().find_map(|load| Some((load, load.position(address)?)))?;
        let start = load.offset.checked_add(into)?;
        let end = start.checked_add(len.min(load.bytes - into))?.min(self.bytes.len() as u64);
        self.bytes.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }

    /// Where in the file the byte at a virtual address lies: what a uprobe is attached to.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.loads.iter().find_map(|load| load.offset.checked_add(load.position(address)?))
    }

    fn is_function(&self, symbol: &elf::Sym64<Endianness>) -> bool {
        let kind = symbol.st_type();
        !symbol.is_undefined(self.endian)
            && matches!(kind, elf::STT_FUNC | elf::STT_NOTYPE)
            && symbol.st_value(self.endian) != 0
    }

    fn is_old_version(&self, index: SymbolIndex) -> bool {
        self.versions.as_ref().is_some_and(|versions| versions.version_index(self.endian, index).is_hidden())
    }

    fn distance_to_next(&self, address: u64) -> Option<u64> {
        let symbols = self.exported.iter().chain(self.local.iter());
        symbols
            .filter(|symbol| self.is_function(symbol))
            .filter_map(|symbol| symbol.st_value(self.endian).checked_sub(address))
            .filter(|&distance| distance != 0)
            .min()
            .map(|distance| distance.min(UNSIZED_BYTES))
    }
}

/// The bare name of an entry of `.symtab` (`read`, `read@@GLIBC_2.2.5`), or `None` for an old version (`read@V`).
fn default_version(full: &[u8]) -> Option<&[u8]> {
    let Some(at) = full.iter().position(|&byte| byte == b'@') else { return Some(full) };
    let (name, version) = full.split_at_checked(at)?;
    version.starts_with(b"@@").then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn finds_what_the_linker_finds_in_this_test_itself() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let image = Image::parse(&bytes).unwrap();
        let main = image.symbol("main").unwrap();
        let code = image.code(&main);
        assert!(!code.is_empty());
        let offset = usize::try_from(image.file_offset(main.address).unwrap()).unwrap();
        assert_eq!(bytes.get(offset..offset + code.len()), Some(code));
        assert_eq!(image.symbol("a name that no symbol has"), None);
        assert_eq!(image.code_at(u64::MAX, 16), None);
        assert_eq!(image.file_offset(u64::MAX), None);
    }

    #[test]
    fn a_function_that_is_only_imported_is_not_there() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(Image::parse(&bytes).unwrap().symbol("write"), None);
    }

    #[test]
    fn an_old_version_is_not_the_function() {
        assert_eq!(default_version(b"read"), Some(&b"read"[..]));
        assert_eq!(default_version(b"read@@GLIBC_2.2.5"), Some(&b"read"[..]));
        assert_eq!(default_version(b"read@GLIBC_2.2.5"), None);
    }

    #[test]
    fn every_prefix_of_a_file_is_refused_or_read() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        let lengths = (0..256).chain((0..bytes.len()).step_by(bytes.len() / 64));
        for len in lengths {
            let Ok(image) = Image::parse(bytes.get(..len).unwrap()) else { continue };
            if let Some(symbol) = image.symbol("main") {
                assert!(image.code(&symbol).len() as u64 <= symbol.size.max(UNSIZED_BYTES));
            }
        }
    }
}
