//! What a process maps: /proc/PID/maps. Knows no library by name.

use crate::event::Tgid;
use std::collections::BTreeSet;
use std::{fs, io};

/// A file that a process maps as code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedFile {
    /// Which.
    pub id: FileId,
    /// Path inside the process's own root. It changes when the file is deleted, the file does not.
    pub path: String,
}

/// Device and inode: the same library in two containers is one file, and a replaced library another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// As /proc/PID/maps writes it.
    pub device: String,
    /// On that device.
    pub inode: u64,
}

impl MappedFile {
    /// The name of the file, without its folder.
    #[must_use]
    pub fn name(&self) -> &str {
        let path = self.path.strip_suffix(" (deleted)").unwrap_or(&self.path);
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// The files that a process maps executably, once each, in order of path.
///
/// # Errors
/// When /proc/PID/maps cannot be read: the process is gone, or permission is missing.
pub fn mapped_files(tgid: Tgid) -> io::Result<BTreeSet<MappedFile>> {
    Ok(fs::read_to_string(format!("/proc/{}/maps", tgid.0))?.lines().filter_map(mapped_file).collect())
}

/// `address perms offset dev inode path`; only executable mappings of files.
#[must_use]
pub fn mapped_file(line: &str) -> Option<MappedFile> {
    let mut fields = line.splitn(6, ' ');
    let (_, permissions, _) = (fields.next()?, fields.next()?, fields.next()?);
    let (device, inode, path) = (fields.next()?, fields.next()?.parse().ok()?, fields.next()?.trim_start());
    let file = permissions.contains('x') && inode != 0 && path.starts_with('/');
    file.then(|| MappedFile { id: FileId { device: device.to_owned(), inode }, path: path.to_owned() })
}

/// Where in its file stands what a process maps at this address; absent where it maps no file as code there.
#[must_use]
pub fn file_offset(tgid: Tgid, address: u64) -> Option<u64> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", tgid.0)).ok()?;
    maps.lines().find_map(|line| offset_in(line, address))
}

fn offset_in(line: &str, address: u64) -> Option<u64> {
    mapped_file(line)?;
    let mut fields = line.split(' ');
    let (range, _, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let (from, to) = range.split_once('-')?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    let (from, to, offset) = (hexadecimal(from)?, hexadecimal(to)?, hexadecimal(offset)?);
    (from..to).contains(&address).then(|| address.checked_sub(from)?.checked_add(offset))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_executable_file_mappings_count() {
        let file = mapped_file("7f0-7f1 r-xp 00026000 fe:00 132 /usr/lib/libc.so.6").unwrap();
        let id = FileId { device: "fe:00".to_owned(), inode: 132 };
        assert_eq!((file.id, file.path.as_str()), (id, "/usr/lib/libc.so.6"));
        assert!(mapped_file("7f0-7f1 rw-p 00026000 fe:00 132 /usr/lib/libc.so.6").is_none());
        assert!(mapped_file("7f0-7f1 r-xp 00000000 00:00 0 [vdso]").is_none());
        assert_eq!(mapped_file("7-8 r-xp 0 fe:00 9                  /a b (deleted)").unwrap().path, "/a b (deleted)");
    }

    #[test]
    fn an_address_has_a_place_in_its_file() {
        let line = "7f00-7fff r-xp 00026000 fe:00 132 /usr/lib/libc.so.6";
        assert_eq!(offset_in(line, 0x7f10), Some(0x26010));
        assert_eq!(offset_in(line, 0x7fff), None);
        assert_eq!(offset_in("7f00-7fff r--p 00026000 fe:00 132 /usr/lib/libc.so.6", 0x7f10), None);
    }
}
