//! Subscriptions of records, and the bridge that shares one among many.

use std::sync::Arc;
use std::time::Duration;

use dust_orm::prelude::*;
use dust_orm::{Edits, FieldEdit, Listener, Op, ResyncReason, Signal, Start, Subscription, Value};
use dust_transport::model::{Batch as Ops, Path};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::record::{Link, Page, link, page};

/// Longer than anything here takes, so that a promise that is broken fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(20);

async fn next<S: Schema>(changes: &mut Subscription<S>) -> Change<S> {
    timeout(LIMIT, changes.next())
        .await
        .expect("in time")
        .expect("not ended")
        .expect("no error")
}

async fn heard<S: Schema>(listener: &mut Listener<S>) -> Arc<Change<S>> {
    timeout(LIMIT, listener.next())
        .await
        .expect("in time")
        .expect("not ended")
}

fn path(rendered: &str) -> Path {
    Path::parse(rendered).unwrap()
}

async fn write(repo: &Repo, ops: impl IntoIterator<Item = Op>) {
    repo.transport().write(Ops::new(ops)).await.unwrap();
}

#[tokio::test]
async fn it_begins_with_the_records_then_ready_then_changes() {
    let repo = Repo::memory();
    repo.insert(link("a")).await.unwrap();
    repo.insert(link("b")).await.unwrap();
    let mut changes = repo.subscribe::<Link>().await.unwrap();
    repo.insert(link("c")).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 4 {
        seen.push(next(&mut changes).await);
    }
    // The record inserted meanwhile is delivered once, before or after `Ready`.
    assert_eq!(seen.iter().filter(|change| **change == Change::Ready).count(), 1);
    for slug in ["a", "b", "c"] {
        assert_eq!(
            seen.iter()
                .filter(|change| **change == Change::Upserted(link(slug)))
                .count(),
            1,
            "{slug}"
        );
    }
    repo.delete::<Link>("a").await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Deleted("a".into()));
}

#[tokio::test]
async fn ready_comes_for_an_empty_schema_too() {
    let repo = Repo::memory();
    let mut changes = repo.subscribe::<Page>().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
}

#[tokio::test]
async fn the_leaves_of_one_write_are_one_change() {
    let repo = Repo::memory();
    let mut changes = repo.subscribe::<Link>().changes_only().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    repo.insert(link("a")).await.unwrap();
    repo.insert(link("b")).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Upserted(link("a")));
    assert_eq!(next(&mut changes).await, Change::Upserted(link("b")));
}

#[tokio::test]
async fn a_half_written_record_is_silent_until_it_loads() {
    let repo = Repo::memory();
    let mut changes = repo.subscribe::<Link>().changes_only().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    write(&repo, [Op::set(path("reading/links/a/title"), "Title of a")]).await;
    write(&repo, [Op::set(path("reading/links/a/url"), "https://dustlayer.io")]).await;
    assert_eq!(next(&mut changes).await, Change::Upserted(link("a")));
    write(&repo, [Op::delete(path("reading/links/a/url"))]).await;
    assert_eq!(
        next(&mut changes).await,
        Change::Deleted("a".into()),
        "it no longer loads"
    );
}

#[tokio::test]
async fn a_deleted_field_is_an_upsert_while_the_record_loads() {
    let repo = Repo::memory();
    repo.insert(Link {
        note: Some("n".into()),
        ..link("a")
    })
    .await
    .unwrap();
    let mut changes = repo.subscribe::<Link>().changes_only().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    write(&repo, [Op::delete(path("reading/links/a/note"))]).await;
    assert_eq!(next(&mut changes).await, Change::Upserted(link("a")));
}

async fn next_edit<S: Schema>(edits: &mut Edits<S>) -> (Change<S>, Vec<FieldEdit>) {
    let edit = timeout(LIMIT, edits.next()).await.expect("in time");
    let edit = edit.expect("not ended").expect("no error");
    (edit.change, edit.fields)
}

fn edited(field: &'static str, old: Option<&str>, new: Option<&str>) -> FieldEdit {
    let [old, new] = [old, new].map(|text| text.map(Value::from));
    FieldEdit { field, old, new }
}

#[tokio::test]
async fn edits_tell_what_fields_were_and_are() {
    let repo = Repo::memory();
    let first = Link {
        note: None,
        ..link("a")
    };
    repo.insert(first.clone()).await.unwrap();
    let mut edits = repo.subscribe::<Link>().await.unwrap().edits();
    let (change, fields) = next_edit(&mut edits).await;
    assert_eq!(change, Change::Upserted(first.clone()));
    assert!(!fields.is_empty() && fields.iter().all(|edit| edit.old.is_none() && edit.new.is_some()));
    assert_eq!(next_edit(&mut edits).await, (Change::Ready, Vec::new()));

    let found = repo.fetch::<Link>("a").await.unwrap();
    let edit = found.change().put(Link::TITLE, "Other").put(Link::NOTE, "read");
    let second = repo.update(edit).await.unwrap();
    let changed = vec![
        edited("title", Some(&first.title), Some("Other")),
        edited("note", None, Some("read")),
    ];
    assert_eq!(next_edit(&mut edits).await, (Change::Upserted(second.clone()), changed));

    // Written again as it was, by a client that does not look.
    write(&repo, [Op::set(path("reading/links/a/note"), "read")]).await;
    assert_eq!(
        next_edit(&mut edits).await,
        (Change::Upserted(second.clone()), Vec::new())
    );

    repo.update(second.change().clear(Link::NOTE)).await.unwrap();
    let (_, fields) = next_edit(&mut edits).await;
    assert_eq!(fields, [edited("note", Some("read"), None)]);

    repo.delete_all::<Link>().await.unwrap();
    let (change, fields) = next_edit(&mut edits).await;
    assert_eq!(change, Change::Deleted("a".to_owned()));
    assert!(fields.contains(&edited("title", Some("Other"), None)));
    assert!(fields.iter().all(|edit| edit.new.is_none()));

    // What comes back under the slug is told as new.
    repo.insert(first.clone()).await.unwrap();
    let (_, fields) = next_edit(&mut edits).await;
    assert!(fields.iter().all(|edit| edit.old.is_none()));
}

#[tokio::test]
async fn edits_from_a_cursor_know_what_was_from_the_second_change_on() {
    let repo = Repo::memory();
    repo.insert(page("a")).await.unwrap();
    let mut edits = repo.subscribe::<Page>().changes_only().await.unwrap().edits();
    assert_eq!(next_edit(&mut edits).await.0, Change::Ready);
    for (title, old) in [("One", None), ("Two", Some("One"))] {
        let found = repo.fetch::<Page>("a").await.unwrap();
        repo.update(found.change().put(Page::TITLE, title)).await.unwrap();
        let (_, fields) = next_edit(&mut edits).await;
        assert!(fields.contains(&edited("title", old, Some(title))), "{fields:?}");
    }
    assert!(edits.cursor() > Seq(0));
}

#[tokio::test]
async fn delete_all_and_ancestor_ops_delete_every_known_record() {
    for ancestor in ["reading/links", "reading"] {
        let repo = Repo::memory();
        repo.insert(link("a")).await.unwrap();
        repo.insert(link("b")).await.unwrap();
        let mut changes = repo.subscribe::<Link>().await.unwrap();
        while next(&mut changes).await != Change::Ready {}
        write(&repo, [Op::delete(path(ancestor))]).await;
        assert_eq!(next(&mut changes).await, Change::Deleted("a".into()));
        assert_eq!(next(&mut changes).await, Change::Deleted("b".into()));
    }
}

#[tokio::test]
async fn an_ancestor_op_is_a_resync_where_the_records_are_not_known() {
    let repo = Repo::memory();
    repo.insert(link("a")).await.unwrap();
    let mut changes = repo.subscribe::<Link>().changes_only().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    repo.delete_all::<Link>().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Resync(ResyncReason::Ancestor));
}

#[tokio::test]
async fn a_stored_cursor_resumes_without_gap_or_repetition() {
    let repo = Repo::memory();
    let mut changes = repo.subscribe::<Link>().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    repo.insert(link("a")).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Upserted(link("a")));
    let cursor = changes.cursor();
    changes.unsubscribe();

    repo.insert(link("b")).await.unwrap();
    repo.delete::<Link>("a").await.unwrap();
    let mut resumed = repo.subscribe::<Link>().after(cursor).await.unwrap();
    assert_eq!(next(&mut resumed).await, Change::Upserted(link("b")));
    assert_eq!(next(&mut resumed).await, Change::Deleted("a".into()));
    assert_eq!(next(&mut resumed).await, Change::Ready);

    let beyond = repo.subscribe::<Link>().after(Seq(4711)).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::InvalidParams);
}

#[tokio::test]
async fn other_schemas_and_stores_are_not_heard() {
    let (repo, other) = (Repo::memory(), Repo::memory());
    let mut changes = repo.subscribe::<Link>().changes_only().await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Ready);
    other.insert(link("elsewhere")).await.unwrap();
    repo.insert(page("p")).await.unwrap();
    write(&repo, [Op::set(path("reading/links-not/x/title"), 1_i64)]).await;
    repo.insert(link("here")).await.unwrap();
    assert_eq!(next(&mut changes).await, Change::Upserted(link("here")));
}

#[tokio::test]
async fn raw_subscriptions_carry_the_ops_as_they_are() {
    let repo = Repo::memory();
    repo.insert(page("p")).await.unwrap();
    let mut raw = repo.subscribe_raw::<Page>(Start::After(Seq(0))).await.unwrap();
    repo.delete_all::<Page>().await.unwrap();
    let mut events = Vec::new();
    while events.len() < 2 {
        if let Signal::Event(event) = timeout(LIMIT, raw.next()).await.unwrap().unwrap().unwrap() {
            events.push((event.seq, event.kind.as_str().to_owned(), event.path.to_string()));
        }
    }
    assert_eq!(
        events,
        [
            (Seq(1), "set".into(), "pages/p".into()),
            (Seq(2), "delete".into(), "pages".into())
        ]
    );
    raw.unsubscribe();
}

#[tokio::test]
async fn listeners_of_a_topic_share_one_subscription_and_end_it_with_the_last() {
    let repo = Repo::memory();
    let mut first = repo.broadcast::<Link>("links").await.unwrap();
    let mut second = repo.broadcast::<Link>("links").await.unwrap();
    let mut elsewhere = repo.broadcast::<Link>("other").await.unwrap();
    repo.insert(link("a")).await.unwrap();
    let heard_first = heard(&mut first).await;
    let heard_second = heard(&mut second).await;
    assert_eq!(*heard_first, Change::Upserted(link("a")));
    assert!(
        Arc::ptr_eq(&heard_first, &heard_second),
        "both hear the one upstream subscription"
    );
    assert!(
        !Arc::ptr_eq(&heard_first, &heard(&mut elsewhere).await),
        "another topic has its own"
    );

    drop(first);
    repo.delete::<Link>("a").await.unwrap();
    assert_eq!(*heard(&mut second).await, Change::Deleted("a".into()));
    drop(second);
    let mut again = repo.broadcast::<Link>("links").await.unwrap();
    repo.insert(link("b")).await.unwrap();
    assert_eq!(*heard(&mut again).await, Change::Upserted(link("b")));
}

#[tokio::test]
async fn a_slow_listener_is_told_that_it_lost_changes() {
    let repo = Repo::memory();
    let mut slow = repo.broadcast::<Page>("pages").await.unwrap();
    let mut fast = repo.broadcast::<Page>("pages").await.unwrap();
    for number in 0..1_100 {
        repo.insert(page(&number.to_string())).await.unwrap();
        heard(&mut fast).await;
    }
    assert_eq!(*heard(&mut slow).await, Change::Resync(ResyncReason::Lagged));
    assert!(matches!(&*heard(&mut slow).await, Change::Upserted(_)));
}
