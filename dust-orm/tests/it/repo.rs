//! Records in and out of a store: reads, writes, compare-and-swap, batches.

use dust_orm::prelude::*;
use dust_orm::{Expected, Op, Outcome};
use dust_transport::model::{Action, Batch as Ops, Path, Pattern, Precondition, Value};
use dust_transport::transport::List;
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::record::{Link, Page, link, page};

fn path(rendered: &str) -> Path {
    Path::parse(rendered).unwrap()
}

/// What another client writes.
async fn write(repo: &Repo, ops: impl IntoIterator<Item = Op>) {
    repo.transport().write(Ops::new(ops)).await.unwrap();
}

/// Every leaf of the store, as text.
async fn leaves(repo: &Repo) -> Vec<(String, String)> {
    let list = List::pattern(Pattern::parse("**").unwrap()).limit(1000);
    let page = repo.transport().list(&list).await.unwrap();
    page.items
        .into_entries()
        .into_iter()
        .map(|entry| (entry.path.to_string(), entry.value.to_string()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(path, value)| ((*path).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_flat_record_is_one_leaf_per_present_field() {
    let repo = Repo::memory();
    let inserted = repo.insert(link("dust")).await.unwrap();
    assert_eq!(inserted, link("dust"));
    let expected = pairs(&[
        ("reading/links/dust/title", "\"Title of dust\""),
        ("reading/links/dust/url", "\"https://dustlayer.io\""),
    ]);
    assert_eq!(leaves(&repo).await, expected);
    assert_eq!(repo.get("dust").await.unwrap(), Some(link("dust")));
    assert_eq!(repo.all::<Link>().await.unwrap(), [link("dust")]);
}

#[tokio::test]
async fn a_map_record_is_one_value_and_reads_the_same() {
    let repo = Repo::memory();
    let mut record = page("home");
    record.meta.insert("a/b".into(), "~".into());
    repo.insert(record.clone()).await.unwrap();
    let expected = pairs(&[
        ("pages/home/meta/a~1b", "\"~\""),
        ("pages/home/title", "\"Page home\""),
        ("pages/home/viewCount", "7"),
    ]);
    assert_eq!(leaves(&repo).await, expected);
    assert_eq!(repo.fetch::<Page>("home").await.unwrap(), record);

    write(&repo, [Op::set(path("pages/home/foreign"), 1_i64)]).await;
    let edit = record.change().put(Page::VIEWS, 8);
    repo.update(edit).await.unwrap();
    let expected = pairs(&[
        ("pages/home/meta/a~1b", "\"~\""),
        ("pages/home/title", "\"Page home\""),
        ("pages/home/viewCount", "8"),
    ]);
    assert_eq!(leaves(&repo).await, expected, "a map record is replaced whole");
}

#[tokio::test]
async fn a_map_field_that_is_empty_comes_back_empty() {
    let repo = Repo::memory();
    repo.insert(page("bare")).await.unwrap();
    assert_eq!(repo.fetch::<Page>("bare").await.unwrap(), page("bare"));
}

#[tokio::test]
async fn a_required_map_that_is_empty_is_blank_since_it_would_leave_nothing() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "shelves")]
    struct Shelf {
        slug: String,
        #[dust(required)]
        books: std::collections::BTreeMap<String, u32>,
    }
    let repo = Repo::memory();
    let empty = Shelf {
        slug: "a".into(),
        books: [].into(),
    };
    let Err(WriteError::Invalid(changeset)) = repo.insert(empty).await else {
        panic!("it could not be read")
    };
    assert_eq!(changeset.errors().of("books").next().unwrap().code(), "required");
}

#[tokio::test]
async fn an_update_of_a_flat_record_writes_what_changed_and_null_where_cleared() {
    let repo = Repo::memory();
    let first = Link {
        note: Some("old".into()),
        ..link("dust")
    };
    repo.insert(first.clone()).await.unwrap();
    write(
        &repo,
        [Op::set(path("reading/links/dust/url"), "https://changed.example")],
    )
    .await;

    let edit = first.change().put(Link::TITLE, "New").clear(Link::NOTE);
    let plan = repo.update(edit.clone()).plan().unwrap();
    let planned: Vec<_> = plan
        .iter()
        .map(|op| (op.path.as_str().to_owned(), op.action.clone()))
        .collect();
    assert_eq!(
        planned,
        [
            ("reading/links/dust/title".to_owned(), Action::Set(Value::from("New"))),
            ("reading/links/dust/note".to_owned(), Action::Set(Value::null())),
        ]
    );
    repo.update(edit).await.unwrap();
    let now = repo.fetch::<Link>("dust").await.unwrap();
    assert_eq!(now.url, "https://changed.example", "another client's field is kept");
    assert_eq!((now.title.as_str(), now.note), ("New", None));
}

#[tokio::test]
async fn nothing_changed_is_ok_without_io() {
    let repo = Repo::memory();
    repo.insert(link("dust")).await.unwrap();
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let edit = found.change().put(Link::TITLE, found.title.clone());
    assert_eq!(repo.update(edit.clone()).plan().unwrap(), []);
    // Were anything sent, this version would not match.
    assert_eq!(repo.update(edit).if_match(999).await.unwrap(), link("dust"));
    let after = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    assert_eq!(found.version(), after.version());
}

#[tokio::test]
async fn a_record_with_nothing_but_its_slug_is_nothing_to_write() {
    #[derive(Debug, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "tags")]
    struct Tag {
        slug: String,
        color: Option<String>,
    }
    let repo = Repo::memory();
    for batch in [false, true] {
        let tag = Tag {
            slug: "a".into(),
            color: None,
        };
        let kind = if batch {
            repo.batch_write(Batch::new().insert(tag))
                .await
                .unwrap_err()
                .dust()
                .unwrap()
                .kind()
        } else {
            repo.insert(tag).await.unwrap_err().dust().unwrap().kind()
        };
        assert_eq!(kind, ErrorKind::NothingToWrite);
    }
}

#[tokio::test]
async fn insert_if_absent_fails_where_anything_is_stored() {
    let repo = Repo::memory();
    repo.insert(link("a")).if_absent().await.unwrap();
    let again = repo.insert(link("a")).if_absent().await.unwrap_err();
    assert!(again.is_conflict());
    write(&repo, [Op::set(path("reading/links/b/foreign"), 1_i64)]).await;
    assert!(repo.insert(link("b")).if_absent().await.unwrap_err().is_conflict());
    write(&repo, [Op::delete(path("reading/links/b"))]).await;
    repo.insert(link("b")).if_absent().await.unwrap();
}

#[tokio::test]
async fn an_invalid_changeset_is_given_back_and_nothing_is_written() {
    let repo = Repo::memory();
    let form = [("slug", "dust"), ("title", ""), ("url", "no url")];
    let Err(WriteError::Invalid(changeset)) = repo.insert(Link::changeset(&form)).await else {
        panic!("it is invalid")
    };
    let errors: Vec<_> = changeset
        .errors()
        .iter()
        .map(|error| (error.field().to_owned(), error.code().to_owned()))
        .collect();
    assert_eq!(
        errors,
        [("title".into(), "required".into()), ("url".into(), "url".into())]
    );
    assert_eq!(leaves(&repo).await, []);
}

/// What another writer does to the record at a path.
type ByOther = fn(&str) -> Op;

#[tokio::test]
async fn a_version_holds_every_leaf_of_the_record() {
    for storage in ["flat", "map"] {
        let repo = Repo::memory();
        // Each case is something another writer can do between a read and a write of the record.
        let cases: [(&str, ByOther); 4] = [
            ("a field changed", |root| {
                Op::set(path(&format!("{root}/title")), "theirs")
            }),
            ("a field nobody read changed", |root| {
                Op::set(path(&format!("{root}/foreign")), 2_i64)
            }),
            ("a leaf appeared", |root| Op::set(path(&format!("{root}/new")), 3_i64)),
            ("a leaf went", |root| Op::delete(path(&format!("{root}/foreign")))),
        ];
        for (case, op) in cases {
            let root = if storage == "flat" {
                "reading/links/x"
            } else {
                "pages/x"
            };
            write(&repo, [Op::delete(path(root))]).await;
            if storage == "flat" {
                repo.insert(link("x")).await.unwrap();
            } else {
                repo.insert(page("x")).await.unwrap();
            }
            write(&repo, [Op::set(path(&format!("{root}/foreign")), 1_i64)]).await;
            let (conflict, deleted) = if storage == "flat" {
                let found = repo.get_versioned::<Link>("x").await.unwrap().unwrap();
                write(&repo, [op(root)]).await;
                let edit = found.change().put(Link::NOTE, "mine");
                let update = repo.update(edit).if_match(found.version()).await.unwrap_err();
                (
                    update.is_conflict(),
                    repo.delete(&found)
                        .if_match(found.version())
                        .await
                        .unwrap_err()
                        .is_conflict(),
                )
            } else {
                let found = repo.get_versioned::<Page>("x").await.unwrap().unwrap();
                write(&repo, [op(root)]).await;
                let edit = found.change().put(Page::DRAFT, true);
                let update = repo.update(edit).if_match(found.version()).await.unwrap_err();
                (
                    update.is_conflict(),
                    repo.delete(&found)
                        .if_match(found.version())
                        .await
                        .unwrap_err()
                        .is_conflict(),
                )
            };
            assert!(conflict && deleted, "{storage}: {case}");
        }
    }
}

#[tokio::test]
async fn a_revision_as_a_number_is_the_highest_of_the_leaves() {
    let repo = Repo::memory();
    repo.insert(page("x")).await.unwrap();
    let found = repo.get_versioned::<Page>("x").await.unwrap().unwrap();
    assert_eq!(found.version().revision(), Seq(1));
    let edit = found.change().put(Page::VIEWS, 1);
    assert!(repo.update(edit.clone()).if_match(7).await.unwrap_err().is_conflict());
    repo.update(edit).if_match(1).await.unwrap();
    assert!(repo.delete::<Page>("x").if_match(1).await.unwrap_err().is_conflict());
    repo.delete::<Page>("x").if_match(2).await.unwrap();
    assert_eq!(repo.get::<Page>("x").await.unwrap(), None);
}

#[tokio::test]
async fn a_version_survives_a_round_trip_through_json() {
    let repo = Repo::memory();
    repo.insert(link("dust")).await.unwrap();
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let token = serde_json::to_string(found.version()).unwrap();
    let version: Version = serde_json::from_str(&token).unwrap();
    repo.update(found.change().put(Link::TITLE, "New"))
        .if_match(&version)
        .await
        .unwrap();
    let stale = repo
        .update(found.change().put(Link::TITLE, "Newer"))
        .if_match(version)
        .await
        .unwrap_err();
    assert!(stale.is_conflict());
    assert_eq!(Expected::from(3_u64), Expected::from(Seq(3)));
}

#[tokio::test]
async fn a_conflict_tells_base_mine_and_theirs() {
    let repo = Repo::memory();
    repo.insert(link("dust")).await.unwrap();
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    repo.update(
        found
            .change()
            .put(Link::TITLE, "theirs")
            .put(Link::URL, "https://theirs.example"),
    )
    .await
    .unwrap();

    let edit = found.change().put(Link::TITLE, "mine").put(Link::NOTE, "my note");
    let Err(WriteError::Dust(error)) = repo.update(edit.clone()).if_match(found.version()).await else {
        panic!("it conflicts")
    };
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Conflict, Outcome::NotApplied)
    );
    let conflict = error.conflict().unwrap();
    let title = conflict.get(Link::TITLE);
    assert_eq!(
        title,
        (
            Some("Title of dust".into()),
            FieldChange::Set("mine".into()),
            Some("theirs".into())
        )
    );
    let clashes: Vec<_> = conflict.clashes().map(|field| field.field).collect();
    assert_eq!(clashes, ["title"], "only what both changed clashes");

    // What does not clash can go on the record as it is now.
    let rebased = repo
        .fetch::<Link>("dust")
        .await
        .unwrap()
        .change()
        .merge(edit.keep(Link::TITLE));
    let merged = repo
        .update(rebased)
        .if_match(conflict.version().unwrap())
        .await
        .unwrap();
    assert_eq!(
        (merged.title.as_str(), merged.note.as_deref()),
        ("theirs", Some("my note"))
    );

    repo.delete(&merged).await.unwrap();
    let Err(WriteError::Dust(gone)) = repo
        .update(found.change().put(Link::TITLE, "late"))
        .if_match(found.version())
        .await
    else {
        panic!("it is gone")
    };
    assert_eq!(gone.conflict().unwrap().version(), None);
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_names_the_item() {
    let repo = Repo::memory();
    repo.insert(link("kept")).await.unwrap();
    repo.insert(page("old")).await.unwrap();
    let kept = repo.get_versioned::<Link>("kept").await.unwrap().unwrap();
    let edit = kept.change().put(Link::NOTE, "edited");

    let batch = || {
        Batch::new()
            .insert(link("a"))
            .insert(page("b"))
            .update(edit.clone())
            .if_match(kept.version())
            .delete::<Link>("stale")
            .delete::<Page>("old")
    };
    let refused = repo.batch_write(batch().if_match(4711)).await.unwrap_err();
    assert!(refused.is_conflict());
    assert_eq!(refused.dust().unwrap().item(), Some(4));
    assert_eq!(repo.all::<Link>().await.unwrap(), [link("kept")]);

    let invalid = Link {
        title: String::new(),
        ..link("bad")
    };
    match repo.batch_write(batch().insert(invalid)).await {
        Err(BatchError::Invalid {
            index: 5,
            schema: "Link",
            errors,
        }) => assert!(errors.of("title").next().is_some()),
        other => panic!("{other:?}"),
    }
    assert_eq!(repo.all::<Page>().await.unwrap(), [page("old")]);

    let written = repo.batch_write(batch()).await.unwrap();
    assert_eq!(written.ops, 6, "two leaves, a map, one changed leaf, two deletes");
    assert_eq!(repo.all::<Page>().await.unwrap(), [page("b")]);
    let slugs: Vec<_> = repo
        .all::<Link>()
        .await
        .unwrap()
        .into_iter()
        .map(|link| link.slug)
        .collect();
    assert_eq!(slugs, ["a", "kept"]);
}

#[tokio::test]
async fn a_batch_without_items_or_with_a_lost_condition_is_refused() {
    let repo = Repo::memory();
    let empty = repo.batch_write(Batch::new()).await.unwrap_err();
    assert_eq!(empty.dust().unwrap().kind(), ErrorKind::NothingToWrite);
    let lost = repo
        .batch_write(Batch::new().if_match(3).insert(link("a")))
        .await
        .unwrap_err();
    assert_eq!(lost.dust().unwrap().kind(), ErrorKind::InvalidParams);
    let unchanged = link("a");
    let written = repo.batch_write(Batch::new().update(unchanged.change())).await.unwrap();
    assert_eq!((written.seq, written.ops), (None, 0));
    assert_eq!(leaves(&repo).await, []);
}

#[tokio::test]
async fn an_op_id_makes_a_repetition_harmless() {
    let repo = Repo::memory();
    let id = OpId::random();
    repo.insert(link("a")).op_id(id.clone()).await.unwrap();
    repo.delete::<Link>("a").await.unwrap();
    repo.insert(link("a")).op_id(id).await.unwrap();
    assert_eq!(
        repo.get::<Link>("a").await.unwrap(),
        None,
        "the second was the first again"
    );
}

#[tokio::test]
async fn a_stored_record_that_does_not_load_is_one_error() {
    let repo = Repo::memory();
    repo.insert(link("a")).await.unwrap();
    repo.insert(link("c")).await.unwrap();
    write(&repo, [Op::set(path("reading/links/b/title"), "no url")]).await;
    write(
        &repo,
        [Op::set(path("reading/links/d"), "a leaf where a record should be")],
    )
    .await;

    assert_eq!(repo.all::<Link>().await.unwrap(), [link("a"), link("c")]);
    assert_eq!(
        repo.strict().all::<Link>().await.unwrap_err().kind(),
        ErrorKind::InvalidRecord
    );
    assert_eq!(
        repo.get::<Link>("b").await.unwrap_err().kind(),
        ErrorKind::InvalidRecord
    );
    assert_eq!(repo.get::<Link>("d").await.unwrap(), None);
    assert!(repo.exists::<Link>("b").await.unwrap() && !repo.exists::<Link>("e").await.unwrap());
    let streamed: Vec<_> = repo
        .stream::<Link>()
        .map(|link| link.map(|link| link.slug).map_err(|e| e.kind()))
        .collect()
        .await;
    assert_eq!(
        streamed,
        [Ok("a".into()), Err(ErrorKind::InvalidRecord), Ok("c".into())]
    );
    assert_eq!(repo.fetch::<Link>("zzz").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn other_clients_values_load_leniently() {
    let repo = Repo::memory();
    write(
        &repo,
        [
            Op::set(path("pages/loose/title"), "T"),
            Op::set(path("pages/loose/viewCount"), "42"),
            Op::set(path("pages/loose/draft"), "true"),
            Op::set(path("pages/loose/meta"), Value::null()),
            Op::set(path("pages/loose/unknown/deep"), 1_i64),
        ],
    )
    .await;
    let loose = repo.fetch::<Page>("loose").await.unwrap();
    assert_eq!((loose.views, loose.draft, loose.meta.len()), (42, Some(true), 0));
}

#[tokio::test]
async fn slugs_of_any_kind_name_one_record_each() {
    let repo = Repo::memory();
    let slugs = [
        "0", "-1", "a.b", "a/b", "a~b", "~1", "*", "**", "\\*", "%", "ä", "a b", "_", "\u{1}", "a-b", "a/b/c", "A",
    ];
    for slug in slugs {
        repo.insert(link(slug)).if_absent().await.unwrap();
    }
    for slug in slugs {
        assert_eq!(repo.fetch::<Link>(slug).await.unwrap(), link(slug), "{slug}");
    }
    let mut listed: Vec<_> = repo
        .stream::<Link>()
        .map_ok(|link| link.slug)
        .try_collect()
        .await
        .unwrap();
    let mut expected = slugs.map(String::from);
    listed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    for slug in slugs {
        repo.delete::<Link>(slug).await.unwrap();
    }
    assert_eq!(leaves(&repo).await, []);
}

#[tokio::test]
async fn slugs_that_are_no_segments_are_refused_everywhere() {
    let repo = Repo::memory();
    for slug in [String::new(), "a\0b".into(), "x".repeat(10_000_000)] {
        let Err(WriteError::Invalid(changeset)) = repo.insert(link(&slug)).await else {
            panic!("refused")
        };
        assert!(changeset.errors().of("slug").next().is_some());
        assert_eq!(
            repo.get::<Link>(&slug).await.unwrap_err().kind(),
            ErrorKind::InvalidParams
        );
        assert_eq!(
            repo.delete::<Link>(slug).await.unwrap_err().kind(),
            ErrorKind::InvalidParams
        );
    }
    assert_eq!(leaves(&repo).await, []);
}

#[tokio::test]
async fn records_larger_than_a_page_and_pages_of_records_are_read_whole() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "wide")]
    struct Wide {
        slug: String,
        cells: std::collections::BTreeMap<String, u32>,
    }
    let repo = Repo::memory();
    let wide = |slug: &str| Wide {
        slug: slug.into(),
        cells: (0..2_500).map(|i| (format!("c{i:05}"), i)).collect(),
    };
    for slug in ["a", "b"] {
        repo.insert(wide(slug)).await.unwrap();
    }
    assert_eq!(repo.fetch::<Wide>("b").await.unwrap(), wide("b"));
    assert_eq!(repo.all::<Wide>().await.unwrap(), [wide("a"), wide("b")]);
    assert_eq!(
        repo.get_versioned::<Wide>("a")
            .await
            .unwrap()
            .unwrap()
            .version()
            .revision(),
        Seq(1)
    );
}

#[tokio::test]
async fn a_ten_megabyte_field_and_the_edges_of_integers_come_back_exactly() {
    #[derive(Debug, PartialEq, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "edges")]
    struct Edge {
        slug: String,
        text: String,
        low: i64,
        high: u64,
        float: f64,
    }
    let repo = Repo::memory();
    let edge = Edge {
        slug: "edge".into(),
        text: "\u{0}\u{1F980}\"\\".repeat(1_250_000),
        low: i64::MIN,
        high: u64::MAX,
        float: f64::MIN_POSITIVE,
    };
    repo.insert(&edge).await.unwrap();
    assert_eq!(repo.fetch::<Edge>("edge").await.unwrap(), edge);
    let nan = Edge {
        slug: "nan".into(),
        text: "t".into(),
        float: f64::NAN,
        ..edge
    };
    let Err(WriteError::Invalid(changeset)) = repo.insert(&nan).await else {
        panic!("NaN has no JSON")
    };
    assert_eq!(changeset.errors().of("float").next().unwrap().code(), "serialize");
    assert_eq!(repo.get::<Edge>("nan").await.unwrap(), None);
}

#[tokio::test]
async fn delete_all_takes_the_prefix_and_nothing_beside_it() {
    let repo = Repo::memory();
    repo.insert(link("a")).await.unwrap();
    repo.insert(page("p")).await.unwrap();
    write(
        &repo,
        [
            Op::set(path("reading/links-not"), 1_i64),
            Op::set(path("Reading/links/a"), 1_i64),
        ],
    )
    .await;
    repo.delete_all::<Link>().await.unwrap();
    assert_eq!(repo.all::<Link>().await.unwrap(), []);
    assert_eq!(leaves(&repo).await.len(), 4);
}

#[tokio::test]
async fn a_precondition_stands_on_the_first_op_only() {
    let repo = Repo::memory();
    let plan = repo.insert(link("a")).if_absent().plan().unwrap();
    let expected = Precondition::Subtree {
        root: path("reading/links/a"),
        leaves: Vec::new(),
    };
    assert_eq!(plan[0].precondition, expected);
    assert!(plan[1..].iter().all(|op| op.precondition == Precondition::None));
}

#[tokio::test]
async fn concurrent_compare_and_swap_loses_nothing() {
    let repo = Repo::memory();
    repo.insert(page("counter")).await.unwrap();
    let bump = |repo: Repo| async move {
        for _ in 0..25 {
            loop {
                let found = repo.get_versioned::<Page>("counter").await.unwrap().unwrap();
                let edit = found.change().put(Page::VIEWS, found.views + 1);
                match repo.update(edit).if_match(found.version()).await {
                    Ok(_) => break,
                    Err(error) if error.is_conflict() => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(bump(repo.clone()))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(repo.fetch::<Page>("counter").await.unwrap().views, 7 + 8 * 25);
}

#[tokio::test]
async fn a_repo_over_a_folder_finds_what_it_left() {
    let folder = tempfile::tempdir().unwrap();
    {
        let repo = Repo::embedded(folder.path(), "acme/reading").await.unwrap();
        repo.insert(link("dust")).await.unwrap();
        assert_eq!(repo.transport().name(), "embedded");
        let locked = Repo::embedded(folder.path(), "acme/reading").await.unwrap_err();
        assert_eq!(locked.kind(), ErrorKind::Locked);
    }
    let repo = Repo::embedded(folder.path(), "acme/reading").await.unwrap();
    assert_eq!(repo.fetch::<Link>("dust").await.unwrap(), link("dust"));
    drop(repo);
    let wrong = Repo::embedded(folder.path(), "no slash").await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidParams);
}
