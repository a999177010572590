//! Reads and the replica.

use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, FileRef, Op, Seq, Value, ValueKind};
use dust_transport::sync::{ConnectionState, Sync};
use dust_transport::transport::{FileRange, List, Order, Page, Select, Transport as _};
use futures_util::TryStreamExt as _;

use super::{Site, entry, json, path, text};

async fn filled(site: &Site) -> Sync {
    let sync = site.sync().await;
    let ops = ["posts/a/title", "posts/b/title", "posts/c", "users/x"].map(|at| Op::set(path(at), at));
    sync.write(Batch::new(ops)).await.unwrap();
    sync
}

fn pattern(text: &str) -> List {
    List::pattern(text.parse().unwrap())
}

fn paths(page: Page) -> Vec<String> {
    let paths = page.items.into_paths().into_iter();
    paths.map(|path| path.as_str().to_owned()).collect()
}

#[tokio::test]
async fn what_is_put_is_got_and_what_is_deleted_is_gone() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("a/b"), "x").await.unwrap();
    assert_eq!(text(&sync, "a/b").await, "\"x\"");
    sync.delete(&path("a/b")).await.unwrap();
    assert_eq!(entry(&sync, "a/b").await, None);
}

#[tokio::test]
async fn an_entry_has_value_kind_and_revision() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let seq = sync.put(&path("a"), 7).await.unwrap();
    let found = entry(&sync, "a").await.unwrap();
    assert_eq!(
        (found.value, found.kind, found.revision),
        (Value::from(7), ValueKind::Integer, seq)
    );
    assert_eq!(entry(&sync, "b").await, None);
}

#[tokio::test]
async fn a_list_gives_entries_or_keys_or_prefixes_of_what_matches() {
    let site = Site::start().await;
    let sync = filled(&site).await;
    let entries = sync.list(&pattern("posts/*/title")).await.unwrap().items.into_entries();
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.value.str().unwrap())
            .collect::<Vec<_>>(),
        ["posts/a/title", "posts/b/title"]
    );
    let keys = sync.list(&pattern("posts/*").select(Select::Keys)).await.unwrap();
    assert_eq!(paths(keys), ["posts/c"]);
    let prefixes = sync.list(&pattern("posts/**").select(Select::Prefixes)).await.unwrap();
    assert_eq!(paths(prefixes), ["posts/a", "posts/b", "posts/c"]);
    let refused = sync
        .list(&pattern("posts/*").select(Select::Prefixes))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "invalid_pattern_for_prefixes");
}

#[tokio::test]
async fn a_list_keeps_to_its_limit_and_goes_on_after_its_cursor() {
    let site = Site::start().await;
    let sync = filled(&site).await;
    let page = sync.list(&pattern("**").limit(3)).await.unwrap();
    assert_eq!(page.next, Some(path("posts/c")));
    let rest = sync.list(&pattern("**").after(page.next)).await.unwrap();
    assert_eq!((rest.next.clone(), paths(rest)), (None, vec!["users/x".to_owned()]));
}

#[tokio::test]
async fn a_range_gives_what_is_from_its_first_up_to_but_without_its_last() {
    let site = Site::start().await;
    let sync = filled(&site).await;
    let range = |from: &str, to: &str| List::range(path(from), path(to)).select(Select::Keys);
    let page = sync.list(&range("posts/b", "users/x")).await.unwrap();
    assert_eq!(paths(page), ["posts/b/title", "posts/c"]);
    let page = sync
        .list(&range("posts/b", "users/x").order(Order::Desc))
        .await
        .unwrap();
    assert_eq!(paths(page), ["posts/c", "posts/b/title"]);
    assert!(sync.list(&range("b", "b")).await.unwrap().items.is_empty());
    assert!(sync.list(&range("c", "b")).await.unwrap().items.is_empty());
    let refused = sync.list(&range("a", "b").select(Select::Prefixes)).await.unwrap_err();
    assert_eq!(refused.code(), "unsupported_select");
}

#[tokio::test]
async fn many_are_read_at_once_and_what_is_missing_is_none() {
    let site = Site::start().await;
    let sync = filled(&site).await;
    let found = sync
        .get_many(&[path("users/x"), path("nowhere"), path("posts/a"), path("users/x")])
        .await
        .unwrap();
    let found: Vec<_> = found.into_iter().map(|entry| entry.map(|entry| entry.path)).collect();
    // A subtree is no leaf, and what is asked for twice is told twice.
    assert_eq!(found, [Some(path("users/x")), None, None, Some(path("users/x"))]);
    assert!(sync.get_many(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_subtree_is_put_together_with_its_highest_revision() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("r/a/b"), 1).await.unwrap();
    sync.put(&path("r/c"), 2).await.unwrap();
    let found = entry(&sync, "r").await.unwrap();
    assert_eq!(found.value.json(), r#"{"a":{"b":1},"c":2}"#);
    assert_eq!((found.kind, found.revision), (ValueKind::Map, Seq(2)));
    assert_eq!(entry(&sync, "s").await, None);
}

#[tokio::test]
async fn a_map_becomes_leaves_in_place_of_what_was_there() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("r"), json(r#"{"a":1,"b":{"c":2}}"#)).await.unwrap();
    let keys = || async { paths(sync.list(&pattern("**").select(Select::Keys)).await.unwrap()) };
    assert_eq!(keys().await, ["r/a", "r/b/c"], "nothing stands at the root itself");
    sync.put(&path("r"), json(r#"{"d":3}"#)).await.unwrap();
    assert_eq!(keys().await, ["r/d"]);
    sync.put(&path("r"), 4).await.unwrap();
    assert_eq!(keys().await, ["r"]);
}

#[tokio::test]
async fn a_value_with_a_type_is_one_leaf() {
    let site = Site::start().await;
    let sync = site.sync().await;
    for (at, typed, value, kind) in [
        (
            "d",
            r#"{"_type":"decimal","_typed":"29.90"}"#,
            "\"29.90\"",
            ValueKind::Decimal,
        ),
        (
            "t",
            r#"{"_type":"datetime","_typed":"2026-11-22T07:40:56Z"}"#,
            "\"2026-11-22T07:40:56Z\"",
            ValueKind::Datetime,
        ),
    ] {
        sync.put(&path(at), json(typed)).await.unwrap();
        let found = entry(&sync, at).await.unwrap();
        assert_eq!((found.value.json(), found.kind), (value, kind));
        assert_eq!(
            entry(&site.sync().await, at).await.unwrap().kind,
            kind,
            "for others, too"
        );
    }
}

#[tokio::test]
async fn a_delete_takes_what_is_below_whoever_deletes() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    one.put(&path("r"), json(r#"{"a":1,"b":{"c":2}}"#)).await.unwrap();
    let seq = two.delete(&path("r")).await.unwrap();
    one.reached(seq).await.unwrap();
    for sync in [&one, &two] {
        assert_eq!((text(sync, "r").await.as_str(), sync.len()), ("-", 0));
    }
}

#[tokio::test]
async fn paths_with_the_signs_of_patterns_of_databases_are_literal() {
    let site = Site::start().await;
    let sync = site.sync().await;
    for at in ["a%/x", "ab/x", "a_/x"] {
        sync.put(&path(at), at).await.unwrap();
    }
    assert_eq!(text(&sync, "a%").await, r#"{"x":"a%/x"}"#);
    sync.delete(&path("a_")).await.unwrap();
    assert_eq!((sync.len(), text(&sync, "ab").await.as_str()), (2, r#"{"x":"ab/x"}"#));
}

#[tokio::test]
async fn a_file_is_a_reference_that_reads_back() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    let file = one
        .put_file(&path("f"), "hello", Some("hi.txt"), Some("text/plain"))
        .await
        .unwrap();
    assert_eq!(
        (file.filename.as_deref(), file.content_type.as_str()),
        (Some("hi.txt"), "text/plain")
    );
    two.reached(one.applied()).await.unwrap();
    let found = entry(&two, "f").await.unwrap();
    assert_eq!(
        (found.kind, FileRef::from_value(&found.value)),
        (ValueKind::File, Some(file.clone()))
    );
    let content = two.read_file(&file.hash, FileRange::All).await.unwrap().unwrap();
    let bytes: Vec<_> = content.body.try_collect().await.unwrap();
    assert_eq!(bytes.concat(), b"hello");
    one.put(&path("v"), "plain").await.unwrap();
    assert_eq!(FileRef::from_value(&entry(&one, "v").await.unwrap().value), None);
}

#[tokio::test]
async fn the_status_tells_connection_position_and_what_the_join_told() {
    let site = Site::start().await;
    let sync = filled(&site).await;
    let status = sync.status();
    assert_eq!(
        (status.connection, status.applied, status.leaves),
        (ConnectionState::Live, Seq(4), 4)
    );
    let joined = status.joined.unwrap();
    assert!(joined.permissions.write && joined.scopes.contains(&"entries:write".to_owned()));
    assert_eq!(joined.store_access.mode, "all");
    let server = sync.server_status().await.unwrap();
    assert_eq!((server.current_seq, server.entry_count), (Seq(4), 4));
    assert_eq!(server.recent_ops[0].path, "users/x");
}

#[tokio::test]
async fn what_came_before_is_there_once_it_is_connected_and_what_comes_after_arrives() {
    let site = Site::start().await;
    let one = site.sync().await;
    one.put(&path("a"), 1).await.unwrap();
    let two = site.sync().await;
    assert!(two.state().is_live());
    assert_eq!(text(&two, "a").await, "1");
    let seq = one.put(&path("a"), 2).await.unwrap();
    two.reached(seq).await.unwrap();
    assert_eq!(text(&two, "a").await, "2");
}

#[tokio::test]
async fn a_client_that_loses_its_server_says_so_and_goes_on_reading() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("a"), 1).await.unwrap();
    site.running.stop().await;
    while sync.state().is_live() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(
        sync.status().connection,
        ConnectionState::Connecting | ConnectionState::Waiting
    ));
    assert_eq!(text(&sync, "a").await, "1");
    assert_eq!(sync.server_status().await.unwrap_err().kind(), ErrorKind::Network);
}
