//! What a reviewer would otherwise have to check by eye.

use std::fs;
use std::path::Path;

use dust_transport::suite;

/// A promise that is written but not listed would never run.
#[test]
fn every_promise_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite");
    let mut written = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        let theme = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&file).unwrap();
        let names = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('('));
        written.extend(names.map(|(name, _)| format!("{theme}::{name}")));
    }
    let mut listed: Vec<_> = suite::all().into_iter().map(|(name, _)| name.to_owned()).collect();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, written);
}
