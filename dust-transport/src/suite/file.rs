//! Files.

use futures_util::StreamExt as _;

use super::probe::{Probe, delete, path, set, within};
use crate::error::ErrorKind::NotSupported;
use crate::model::{Batch, FileHash, FileRef, Op, OpId, OpKind, Seq, ValueKind};
use crate::transport::{FileContent, FileRange, Transport};

/// SHA-256 of nothing, and of `abc`, from the standard.
const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const OF_ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn hash(text: &str) -> FileHash {
    text.parse().unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

fn put(at: &str, content: impl Into<bytes::Bytes>) -> Op {
    Op::put_file(path(at), content, None, None)
}

/// Bytes that differ from place to place.
fn bytes(count: u32) -> Vec<u8> {
    (0..count)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

async fn read(content: FileContent) -> Vec<u8> {
    let mut body = content.body;
    let mut bytes = Vec::new();
    while let Some(piece) = within("the next piece of a file", body.next()).await {
        let piece = piece.unwrap_or_else(|error| panic!("a piece of a file: {error}"));
        assert!(!piece.is_empty(), "a piece is not empty");
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(bytes.len() as u64, content.range.end - content.range.start);
    bytes
}

impl Probe<'_> {
    fn files(self) -> bool {
        self.0.capabilities().files
    }

    /// Puts a file, which must succeed.
    async fn stored(self, op: Op) -> FileRef {
        let written = self.try_write(op.into()).await;
        let written = written.unwrap_or_else(|error| panic!("a file: {error}"));
        let file = written.done(0).file().cloned();
        file.unwrap_or_else(|| panic!("a file must give its reference, but gave {written:?}"))
    }

    async fn file(self, hash: &FileHash, range: FileRange) -> Option<FileContent> {
        let opened = within("read_file", self.0.read_file(hash, range)).await;
        opened.unwrap_or_else(|error| panic!("read_file {hash}: {error}"))
    }

    async fn content(self, hash: &FileHash) -> Option<Vec<u8>> {
        match self.file(hash, FileRange::All).await {
            Some(content) => Some(read(content).await),
            None => None,
        }
    }
}

/// A file reads back by its hash, and its leaf refers to it.
pub async fn file_reads_back(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    let op = Op::put_file(path("notes/a"), "abc", Some("ä b.txt"), Some("text/plain"));
    let file = store.stored(op).await;
    assert_eq!((file.hash, file.size_bytes), (hash(OF_ABC), 3));
    assert_eq!(
        (file.filename.as_deref(), &*file.content_type),
        (Some("ä b.txt"), "text/plain")
    );
    let entry = store.entry("notes/a").await.expect("a leaf");
    assert_eq!((entry.kind, entry.revision), (ValueKind::File, Seq(1)));
    assert_eq!(
        FileRef::from_value(&entry.value),
        Some(file.clone()),
        "the leaf is what was answered"
    );
    let content = store.file(&file.hash, FileRange::All).await.expect("a file");
    assert_eq!((&*content.content_type, content.size_bytes), ("text/plain", 3));
    assert_eq!(read(content).await, b"abc");

    let plain = store.stored(put("notes/b", "abc")).await;
    assert_eq!(
        (plain.filename, &*plain.content_type),
        (None, FileRef::CONTENT_TYPE_DEFAULT)
    );
}

/// Files of no bytes, of few and of many come back whole.
pub async fn files_of_any_size_come_back(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    assert_eq!(store.stored(put("empty", "")).await.hash, hash(OF_NOTHING));
    assert_eq!(store.content(&hash(OF_NOTHING)).await, Some(Vec::new()));
    for count in [1, 65_535, 65_536, 65_537, 400_000] {
        let content = bytes(count);
        let file = store.stored(put("some", content.clone())).await;
        assert!(store.content(&file.hash).await == Some(content), "{count} bytes");
    }
}

/// A part of a file is read by its range; what the file does not have is left out.
pub async fn parts_of_a_file_are_read(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    let whole = bytes(200_000);
    let file = store.stored(put("some", whole.clone())).await;
    for range in [
        FileRange::All,
        FileRange::From(0),
        FileRange::From(65_536),
        FileRange::From(199_999),
        FileRange::From(200_000),
        FileRange::From(u64::MAX),
        FileRange::Part(0..1),
        FileRange::Part(65_535..65_537),
        FileRange::Part(100_000..u64::MAX),
        FileRange::Part(7..7),
        FileRange::Part(300_000..400_000),
        FileRange::Last(0),
        FileRange::Last(1),
        FileRange::Last(70_000),
        FileRange::Last(u64::MAX),
    ] {
        let part = range.within(200_000);
        let content = store.file(&file.hash, range.clone()).await.expect("a file");
        assert_eq!((content.size_bytes, &content.range), (200_000, &part), "{range:?}");
        let found = read(content).await;
        let place = |at: u64| usize::try_from(at).expect("a place in the file");
        assert!(found == whole[place(part.start)..place(part.end)], "{range:?}");
    }
}

/// The same content at several paths is one file, which is there as long as one of them is.
pub async fn file_is_there_while_a_leaf_is(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    assert_eq!(store.content(&hash(OF_ABC)).await, None);
    store
        .write([put("a/x", "abc"), put("a/y", "abc"), put("b", "abc"), put("c", "abc")])
        .await;
    let there = async || store.content(&hash(OF_ABC)).await.is_some();
    for op in [
        delete("a"),
        set("b", "1"),
        put("c", "other"),
        put("c", "abc"),
        set("c/x", "1"),
        Op::delete(path("c/x")),
    ] {
        store.write([op]).await;
    }
    assert!(there().await, "a leaf refers to it still");
    store.set("c", r#"{"d":1}"#).await;
    assert!(!there().await, "no leaf refers to it");
    store.write([put("b", "abc")]).await;
    assert!(there().await, "it has been put again");
    store.write([put("b", "abc"), delete("b")]).await;
    assert!(!there().await, "no leaf refers to it");
}

/// A reference that was merely set is no file, and gives no access to one.
pub async fn forged_reference_is_no_file(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    let file = store.stored(put("a", "abc")).await;
    store.write([Op::set(path("b"), file.to_value()), delete("a")]).await;
    assert_eq!(store.entry("b").await.expect("a leaf").kind, ValueKind::Map);
    assert_eq!(store.content(&file.hash).await, None);
}

/// A file replaces what is at and below its path, and nothing else.
pub async fn file_replaces_the_subtree(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    store.set("a", r#"{"x":{"y":1},"x-y":2}"#).await;
    store.write([put("a/x", "abc")]).await;
    let paths: Vec<_> = store.dump().await.into_iter().map(|entry| entry.path).collect();
    assert_eq!(paths, [path("a/x"), path("a/x-y")]);
}

/// What has been opened reads to its end, though its leaf is gone by then.
pub async fn open_file_reads_to_its_end(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.files() {
        return;
    }
    let whole = bytes(300_000);
    let file = store.stored(put("a", whole.clone())).await;
    let content = store.file(&file.hash, FileRange::All).await.expect("a file");
    store.write([delete("a")]).await;
    assert!(read(content).await == whole);
}

/// A file is told to subscribers by its reference, live and from the log.
pub async fn file_is_an_event(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.files() && store.subscribes()) {
        return;
    }
    let mut live = store.follow().await;
    let file = store.stored(put("a", "abc")).await;
    let events = live.through(Seq(1)).await;
    assert_eq!(events, store.replay(Seq(1)).await);
    assert_eq!(
        (events[0].kind, &events[0].value),
        (OpKind::PutFile, &Some(file.to_value()))
    );
}

/// A repeated op id gives the reference of the first time.
pub async fn repetition_gives_the_reference_again(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.files() && transport.capabilities().op_ids) {
        return;
    }
    let batch = || Batch::one(put("a", "abc")).with_id(OpId::new("once").expect("an id"));
    let first = store.try_write(batch()).await.expect("the first time");
    let again = store.try_write(batch()).await.expect("a repetition");
    assert_eq!(
        (again.seqs, again.done, again.deduplicated),
        (first.seqs, first.done, true)
    );
    store.write([delete("a")]).await;
    assert_eq!(store.content(&hash(OF_ABC)).await, None);
}

/// A transport that puts no files says so; it may read those that others put, of which there are none here.
pub async fn absent_files_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.files() {
        return;
    }
    store.refused(put("a", "abc"), NotSupported, "").await;
    let answer = within("read_file", transport.read_file(&hash(OF_ABC), FileRange::All)).await;
    match answer {
        Ok(found) => assert!(found.is_none(), "a file that nobody has put"),
        Err(error) => assert_eq!(error.kind(), NotSupported),
    }
}
