//! Versions and conflicts.

use dust_orm::prelude::*;
use dust_orm::{Conflict, Expected, FieldChange, Value};
use dust_transport::model::{Batch as Ops, Op, Path};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "tasks")]
struct Task {
    slug: String,
    #[dust(required)]
    title: String,
    #[serde(rename = "count")]
    points: u32,
    note: Option<String>,
    #[dust(default)]
    stars: u8,
    tags: std::collections::BTreeMap<String, u8>,
}

fn task() -> Task {
    Task {
        slug: "a".into(),
        title: "A".into(),
        points: 1,
        note: Some("n".into()),
        stars: 0,
        tags: std::collections::BTreeMap::new(),
    }
}

/// A store with one task, and the task as it was read.
async fn stored() -> (Repo, Versioned<Task>) {
    let repo = Repo::memory();
    repo.insert(task()).await.unwrap();
    let found = repo.get_versioned::<Task>("a").await.unwrap().unwrap();
    (repo, found)
}

/// What another client writes below the task.
async fn write(repo: &Repo, field: &str, json: &str) {
    let path = Path::parse(&format!("tasks/a/{field}")).unwrap();
    let value = Value::from_json(json).unwrap();
    repo.transport().write(Ops::new([Op::set(path, value)])).await.unwrap();
}

fn conflict(error: &WriteError<Task>) -> &Conflict {
    assert!(error.is_conflict());
    error
        .dust()
        .and_then(Error::conflict)
        .expect("an update says what stood in its way")
}

#[tokio::test]
async fn a_version_says_whether_a_record_was_touched() {
    let (repo, first) = stored().await;
    let again = repo.get_versioned::<Task>("a").await.unwrap().unwrap();
    assert_eq!(first, again);
    assert_eq!(*first, task());
    for (field, json) in [("title", r#""B""#), ("extra/deep", "1")] {
        let before = repo.get_versioned::<Task>("a").await.unwrap().unwrap();
        write(&repo, field, json).await;
        let after = repo.get_versioned::<Task>("a").await.unwrap().unwrap();
        assert_ne!(before.version(), after.version());
        assert!(before.version().revision() < after.version().revision());
    }
    assert_eq!(again.into_record(), task());
}

#[tokio::test]
async fn a_version_travels_as_text() {
    let (repo, found) = stored().await;
    let text = serde_json::to_string(found.version()).unwrap();
    let version: Version = serde_json::from_str(&text).unwrap();
    assert_eq!(version, *found.version());
    repo.update(found.change().put(Task::POINTS, 2))
        .if_match(&version)
        .await
        .unwrap();
    let stale = repo
        .update(found.change().put(Task::POINTS, 3))
        .if_match(version)
        .await
        .unwrap_err();
    assert!(stale.is_conflict());

    // What comes back need not be what was sent.
    for forged in [r#"[["",1]]"#, r#"[["a//b",1]]"#, r#"[["~",1]]"#, r#"[["a\u0000",1]]"#] {
        let version: Version = serde_json::from_str(forged).unwrap();
        let error = repo
            .update(found.change().put(Task::POINTS, 3))
            .if_match(version)
            .await
            .unwrap_err();
        assert_eq!(
            error.dust().map(Error::kind),
            Some(ErrorKind::InvalidParams),
            "{forged}"
        );
    }
    let version: Version = serde_json::from_str("[]").unwrap();
    assert_eq!(version.revision(), Seq(0));
    assert!(
        repo.update(found.change().put(Task::POINTS, 3))
            .if_match(version)
            .await
            .unwrap_err()
            .is_conflict()
    );
    assert!(serde_json::from_str::<Version>(r#"[["title",-1]]"#).is_err());
}

#[tokio::test]
async fn a_bare_number_is_the_revision_of_the_record() {
    let (repo, found) = stored().await;
    let revision = found.version().revision();
    let edit = || found.change().put(Task::POINTS, 2);
    assert!(
        repo.update(edit())
            .if_match(revision.0 + 1)
            .await
            .unwrap_err()
            .is_conflict()
    );
    assert!(repo.update(edit()).if_match(1).await.unwrap_err().is_conflict());
    repo.update(edit()).if_match(revision).await.unwrap();
    assert!(
        repo.update(edit())
            .if_match(revision.0)
            .await
            .unwrap_err()
            .is_conflict()
    );
    assert_eq!(Expected::from(7), Expected::from(Seq(7)));
}

#[tokio::test]
async fn a_conflict_tells_base_mine_and_theirs() {
    let (repo, found) = stored().await;
    write(&repo, "title", r#""Theirs""#).await;
    write(&repo, "note", "null").await;
    let edit = found.change().put(Task::TITLE, "Mine").put(Task::POINTS, 5);
    let error = repo.update(edit).if_match(found.version()).await.unwrap_err();
    let conflict = conflict(&error);

    assert_eq!(
        conflict.version(),
        Some(repo.get_versioned::<Task>("a").await.unwrap().unwrap().version())
    );
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        conflict.get(Task::TITLE),
        (text("A"), FieldChange::Set("Mine".to_owned()), text("Theirs"))
    );
    assert_eq!(conflict.get(Task::POINTS), (Some(1), FieldChange::Set(5), Some(1)));
    assert_eq!(conflict.get(Task::NOTE), (text("n"), FieldChange::Kept, None));
    assert_eq!(
        conflict.get(Task::SLUG),
        (None, FieldChange::Kept, None),
        "the slug is the same for all"
    );
    let fields: Vec<_> = conflict.fields().map(|field| field.field).collect();
    assert_eq!(fields, ["title", "count", "note", "stars", "tags"]);
    assert_eq!(
        conflict.clashes().map(|field| field.field).collect::<Vec<_>>(),
        ["title"]
    );
    assert_eq!(
        format!("{conflict:?}"),
        r#"[FieldConflict { field: "title", base: Some("A"), mine: Set("Mine"), theirs: Some("Theirs") }]"#
    );
}

#[tokio::test]
async fn what_only_looks_different_is_no_clash() {
    let (repo, found) = stored().await;
    // The same number as text, the default as null, the empty map as nothing; and the same note as mine.
    for (field, json) in [
        ("count", r#""1""#),
        ("stars", "null"),
        ("tags", "null"),
        ("note", r#""same""#),
    ] {
        write(&repo, field, json).await;
    }
    let edit = found
        .change()
        .put(Task::POINTS, 2)
        .put(Task::STARS, 3)
        .put(Task::NOTE, "same");
    let edit = edit.put(Task::TAGS, std::collections::BTreeMap::from([("x".to_owned(), 1)]));
    let error = repo.update(edit).if_match(found.version()).await.unwrap_err();
    assert_eq!(conflict(&error).clashes().count(), 0);
}

#[tokio::test]
async fn a_conflict_with_a_record_that_is_gone_or_broken_says_so() {
    let (repo, found) = stored().await;
    let edit = || found.change().put(Task::TITLE, "Mine").clear(Task::NOTE);
    write(&repo, "title", "[]").await;
    let error = repo.update(edit()).if_match(found.version()).await.unwrap_err();
    assert_eq!(
        conflict(&error).clashes().map(|field| field.field).collect::<Vec<_>>(),
        ["title"]
    );

    repo.delete(&*found).await.unwrap();
    let error = repo.update(edit()).if_match(found.version()).await.unwrap_err();
    assert_eq!(conflict(&error).version(), None);
    assert_eq!(
        conflict(&error).clashes().map(|field| field.field).collect::<Vec<_>>(),
        ["title"]
    );
}

#[tokio::test]
async fn errors_say_what_happened_without_their_text_being_read() {
    let (repo, found) = stored().await;
    let error = repo.update(found.change().clear(Task::TITLE)).await.unwrap_err();
    assert_eq!(error.to_string(), "the record is not valid: title: can't be blank");
    assert!(error.dust().is_none() && !error.is_conflict());
    assert!(format!("{error:?}").starts_with("Invalid(Errors("));
    assert!(matches!(&error, WriteError::Invalid(changeset) if changeset.is_update()));

    let error = repo
        .update(found.change().put(Task::TITLE, "B"))
        .if_match(1)
        .await
        .unwrap_err();
    let dust = error.dust().unwrap();
    assert_eq!(dust.outcome(), dust_orm::Outcome::NotApplied);
    assert!(!dust.is_retryable() && dust.retry_after().is_none() && dust.item().is_none());
    assert_eq!(error.to_string(), dust.to_string());
    assert!(!error.to_string().is_empty());
}
