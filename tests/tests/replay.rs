//! Tapes of real servers give exactly the records that stand beside them. `UPDATE_EXPECT=1` rewrites those; read the diff.

use inferscope_tests::replay;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_tape_replays_to_its_records() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay");
    let mut tapes: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("tests/replay")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "tape"))
        .collect();
    tapes.sort();
    assert!(!tapes.is_empty(), "there are no tapes");
    for tape in tapes {
        let records = replay::lines(&tape).expect("a tape of ours");
        let expected = tape.with_extension("records.jsonl");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expected, &records).expect("tests/replay is writable");
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(records == expected, "{}: the records differ; UPDATE_EXPECT=1 rewrites them", tape.display());
    }
}
