//! Wrong use of the derive is an error that says what to do: each `ui/<topic>/<case>.rs` does not compile, and its `.stderr` is what the
//! writer reads. `TRYBUILD=overwrite` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn wrong_use_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("ui/*/*.rs");
}

/// A message that no case shows is one that nobody has read where it is printed.
#[test]
fn every_message_is_shown_by_a_case() {
    let stderr: String = files(Path::new("ui"), "stderr")
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let sources = files(Path::new("../dust-derive/src"), "rs");
    let texts: BTreeSet<_> = sources
        .iter()
        .flat_map(|path| messages(&fs::read_to_string(path).unwrap()))
        .collect();
    assert!(
        texts.len() >= 40,
        "found {} messages: is `cx.error` still what records one?",
        texts.len()
    );
    let unseen: Vec<_> = texts.iter().filter(|text| !stderr.contains(text.as_str())).collect();
    assert!(unseen.is_empty(), "no .stderr shows {unseen:#?}");
}

/// A `.stderr` without its case is dead, and a case without its `.stderr` is not checked.
#[test]
fn cases_and_what_they_print_come_in_pairs() {
    let stems = |extension| -> BTreeSet<_> {
        files(Path::new("ui"), extension)
            .iter()
            .map(|path| path.with_extension(""))
            .collect()
    };
    let cases = stems("rs");
    assert!(cases.len() >= 45, "{} cases", cases.len());
    assert_eq!(cases, stems("stderr"));
}

/// The files under `folder` that end in `extension`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

/// The fixed parts of the texts that `source` passes to `cx.error`.
fn messages(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = source.split("cx.error(").skip(1);
    calls
        .flat_map(|call| literals(call).into_iter().flat_map(|text| fixed_parts(&text)))
        .collect()
}

/// The string literals up to the parenthesis that closes a call.
fn literals(call: &str) -> Vec<String> {
    let (mut found, mut depth) = (Vec::new(), 1);
    let mut letters = call.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            '"' => found.push(literal(&mut letters)),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// What follows an opening quote, up to the closing one.
fn literal(letters: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => text.extend(letters.next()),
            _ => text.push(letter),
        }
    }
    text
}

/// The parts of a format string between its arguments, without what is too short to tell.
fn fixed_parts(text: &str) -> Vec<String> {
    let parts = text
        .split('{')
        .map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    parts.filter(|part| part.len() > 8).map(str::to_owned).collect()
}
