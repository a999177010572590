//! Reading: leaves, assembled subtrees, many leaves, existence.

use super::probe::{Probe, json, path, set, within};
use crate::model::{Path, ValueKind};
use crate::transport::Transport;

/// Where nothing was written, nothing is.
pub async fn get_of_nothing_is_none(transport: &dyn Transport) {
    let store = Probe(transport);
    store.assert_absent("links").await;
    store.set("links/dust", "1").await;
    for at in ["link", "links2", "links/dus", "links/dust/title", "Links/dust"] {
        store.assert_absent(at).await;
    }
}

/// A leaf reads back with its path, value, kind and revision.
pub async fn leaf_reads_back_as_written(transport: &dyn Transport) {
    let store = Probe(transport);
    let revision = store.set("links/dust/title", r#""Dust""#).await;
    let entry = store.entry("links/dust/title").await.expect("the leaf");
    assert_eq!(entry.value, json(r#""Dust""#));
    assert_eq!(entry.kind, ValueKind::String);
    assert_eq!(entry.revision, revision);
}

/// A path without a leaf reads as the map of what is below it, with the highest revision of its leaves.
pub async fn subtree_is_assembled(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("links/dust/meta/lang", r#""en""#).await;
    let highest = store.set("links/dust/title", r#""Dust""#).await;
    store.set("links-old/dust", "0").await;
    let record = store.entry("links/dust").await.expect("the subtree");
    assert_eq!(record.value, json(r#"{"title":"Dust","meta":{"lang":"en"}}"#));
    assert_eq!(record.kind, ValueKind::Map);
    assert_eq!(record.revision, highest, "the highest revision of the leaves");
    store
        .assert_value("links", r#"{"dust":{"title":"Dust","meta":{"lang":"en"}}}"#)
        .await;
}

/// The revision of a subtree is that of its leaves that are left; a delete does not raise it.
pub async fn subtree_revision_is_of_its_leaves(transport: &dyn Transport) {
    let store = Probe(transport);
    let first = store.set("r/a", "1").await;
    store.set("r/b", "2").await;
    store.write([super::probe::delete("r/b")]).await;
    assert_eq!(store.entry("r").await.expect("the subtree").revision, first);
}

/// Keys of an assembled map are the decoded segments.
pub async fn assembly_decodes_segments(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r/a~1b", "1").await;
    store.set("r/a~0b/~01", "2").await;
    store.set(r#"r/q"u\o"#, "3").await;
    store.assert_value("r", r#"{"a/b":1,"a~b":{"~1":2},"q\"u\\o":3}"#).await;
}

/// A leaf and leaves below it stand side by side; its own path reads the leaf.
pub async fn exact_leaf_wins_over_descendants(transport: &dyn Transport) {
    let store = Probe(transport);
    let leaf = store.set("r/a", "1").await;
    store.set("r/a/b", "2").await;
    let entry = store.entry("r/a").await.expect("the leaf");
    assert_eq!(
        (entry.value, entry.kind, entry.revision),
        (json("1"), ValueKind::Integer, leaf)
    );
    store.assert_value("r/a/b", "2").await;
    assert_eq!(store.leaves().await, ["r/a=1", "r/a/b=2"]);
}

/// In a map assembled from above, leaves below a leaf hide it.
pub async fn descendants_win_in_assembly(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r/a", "1").await;
    store.set("r/a/b", "2").await;
    store.set("r/a-c", "3").await;
    store.set("r/a/b/c", "4").await;
    store.assert_value("r", r#"{"a":{"b":{"c":4}},"a-c":3}"#).await;
}

/// Siblings whose names start alike are told apart, also where bytes below `/` sort between them.
pub async fn siblings_with_a_common_start_are_apart(transport: &dyn Transport) {
    let store = Probe(transport);
    for at in [
        "l/foo/title",
        "l/foo-bar/t",
        "l/foo.bar/t",
        "l/foo0/t",
        "l/foo /t",
        "l/fo/t",
    ] {
        store.set(at, "1").await;
    }
    store.assert_value("l/foo", r#"{"title":1}"#).await;
    store
        .assert_value(
            "l",
            r#"{"foo":{"title":1},"foo-bar":{"t":1},"foo.bar":{"t":1},"foo0":{"t":1},"foo ":{"t":1},"fo":{"t":1}}"#,
        )
        .await;
}

/// `get_many` gives one slot per path, in order, of exact leaves only.
pub async fn get_many_reads_exact_leaves_in_order(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r/b", "2").await;
    store.set("r/a", "1").await;
    let asked: Vec<Path> = ["r/b", "r", "r/none", "r/a", "r/b"].into_iter().map(path).collect();
    let found = within("get_many", transport.get_many(&asked)).await.expect("get_many");
    let values: Vec<_> = found
        .iter()
        .map(|slot| slot.as_ref().map(|entry| entry.value.json()))
        .collect();
    assert_eq!(values, [Some("2"), None, None, Some("1"), Some("2")]);
    for (slot, at) in found.iter().zip(&asked) {
        assert!(
            slot.as_ref().is_none_or(|entry| entry.path == *at),
            "{slot:?} for `{at}`"
        );
    }
    let none = within("get_many", transport.get_many(&[]))
        .await
        .expect("get_many of nothing");
    assert_eq!(none, []);
}

/// A leaf exists, and so does a path with leaves below it.
pub async fn exists_sees_leaves_and_subtrees(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("links/dust/title", "null").await;
    for at in ["links", "links/dust", "links/dust/title"] {
        assert!(store.exists(at).await, "`{at}` exists");
    }
    for at in ["link", "links/dus", "links/dust/title/x", "links/Dust"] {
        assert!(!store.exists(at).await, "`{at}` does not exist");
    }
}

/// Any path of the grammar can be written, read, listed and deleted.
pub async fn every_path_of_the_grammar_works(transport: &dyn Transport) {
    let store = Probe(transport);
    let long = "x".repeat(Path::BYTES_MAX - 2);
    let deep = vec!["d"; Path::SEGMENTS_MAX];
    let paths: Vec<Path> = [
        &["hello.world"][..],
        &["image/file"],
        &["a~b"],
        &["a/b~c"],
        &["~~"],
        &["//"],
        &["packages", "@scope", "name"],
        &["x", "*"],
        &["x", "**"],
        &["x", r"\*"],
        &["x", "%", "%2F", "%"],
        &["42", "007", "-1", "1e3"],
        &["_dust:sf", "job"],
        &["Straße", "日本語", "🦀", "e\u{301}"],
        &[" ", "\t", "a\nb", "\u{1}", "\u{7f}", "\u{ff}", "\u{10ffff}"],
        &["?", "#", "&", "=", "+", ";", ":", "'", "\"", "`", "<>", "[]", "{}"],
        &[".", "..", "..."],
        &["l", &long],
        &deep,
    ]
    .into_iter()
    .map(|segments| Path::new(segments).expect("a path"))
    .collect();
    for (index, at) in paths.iter().enumerate() {
        store.set(at.as_str(), &index.to_string()).await;
    }
    for (index, at) in paths.iter().enumerate() {
        store.assert_value(at.as_str(), &index.to_string()).await;
    }
    let mut sorted: Vec<&str> = paths.iter().map(Path::as_str).collect();
    sorted.sort_unstable();
    let listed = store.dump().await;
    assert_eq!(
        listed.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(),
        sorted
    );
    for at in &paths {
        store.write([super::probe::delete(at.as_str())]).await;
        store.assert_absent(at.as_str()).await;
    }
    assert_eq!(store.leaves().await, [""; 0]);
}

/// What was acknowledged is seen by every read that starts after.
pub async fn acknowledged_writes_are_seen(transport: &dyn Transport) {
    let store = Probe(transport);
    for count in 0..50 {
        store.write([set("r/n", &count.to_string())]).await;
        store.assert_value("r/n", &count.to_string()).await;
        store.assert_value("r", &format!(r#"{{"n":{count}}}"#)).await;
        assert_eq!(store.leaves().await, [format!("r/n={count}")]);
    }
}
