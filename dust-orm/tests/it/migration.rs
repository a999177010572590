//! Migrations: resumed wherever they are cut, one at a time, beside writers.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use dust_orm::prelude::*;
use dust_orm::{Migration, Op, Step};
use dust_store::Embedded;
use dust_transport::model::{Batch as Ops, Entry, Path, Pattern, Value};
use dust_transport::query::IndexDefinition;
use dust_transport::transport::List;

use crate::hook::{Gate, Hook, Hooked};

/// A user of the first release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users")]
struct Old {
    slug: String,
    name: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    legacy: Option<bool>,
    visits: Option<i64>,
}

/// A user of the second release, in the same place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(full_name))]
struct User {
    slug: String,
    full_name: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    visits: Option<i64>,
}

/// Notes whose fields lie in one value, in both releases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "notes", storage = "map", index(text))]
struct Note {
    slug: String,
    text: Option<String>,
    body: Option<String>,
}

const MIGRATIONS: &[Migration] = &[
    Migration::new(
        1,
        "names are whole",
        &[
            Step::rename_field::<User>("name", "full_name"),
            Step::rename_field::<User>("tags", "labels"),
        ],
    ),
    Migration::new(3, "find users", &[Step::ensure_indexes::<User>()]),
    Migration::new(
        7,
        "what is left",
        &[
            Step::drop_index::<User>(&["legacy"]),
            Step::delete_field::<User>("legacy"),
            Step::copy_field::<Note>("text", "body"),
            Step::custom("greet", |repo| Box::pin(greet(repo))),
        ],
    ),
];

async fn greet(repo: Repo) -> Result<(), Error> {
    let note = Note {
        slug: "welcome".into(),
        text: Some("Hello".into()),
        body: None,
    };
    repo.insert(note).await.map(drop).map_err(|error| match error {
        WriteError::Dust(error) => error,
        WriteError::Invalid(_) => unreachable!("a note has no rules"),
    })
}

fn path(rendered: &str) -> Path {
    Path::parse(rendered).unwrap()
}

fn old(number: usize) -> Old {
    Old {
        slug: format!("u{number:03}"),
        name: Some(format!("Name {number}")),
        tags: number
            .is_multiple_of(3)
            .then(|| BTreeMap::from([("a/b".into(), number.to_string()), ("c".into(), "~".into())])),
        legacy: number.is_multiple_of(2).then_some(true),
        visits: Some(0),
    }
}

fn renamed(number: usize) -> User {
    let Old {
        slug,
        name,
        tags,
        visits,
        ..
    } = old(number);
    User {
        slug,
        full_name: name,
        labels: tags,
        visits,
    }
}

async fn fill(repo: &Repo, users: usize) {
    for number in 0..users {
        repo.insert(old(number)).await.unwrap();
    }
    let by_legacy = IndexDefinition::new(path("users"), [path("legacy")]).unwrap();
    repo.transport().ensure_index(&by_legacy).await.unwrap();
    for slug in ["first", "second"] {
        let text = Some(slug.to_uppercase());
        let (slug, body) = (slug.to_owned(), None);
        repo.insert(Note { slug, text, body }).await.unwrap();
    }
}

async fn dump(repo: &Repo, below: &str) -> Vec<Entry> {
    let list = List::pattern(Pattern::parse(below).unwrap()).limit(1000);
    repo.transport().list(&list).await.unwrap().items.into_entries()
}

/// What the store has to look like when all is done.
async fn assert_migrated(repo: &Repo, users: usize) {
    let expected: Vec<_> = (0..users).map(renamed).collect();
    assert_eq!(repo.all::<User>().await.unwrap(), expected);
    for gone in [
        "users/*/name",
        "users/*/tags/**",
        "users/*/legacy",
        "_dust:migrations/claim",
    ] {
        assert_eq!(dump(repo, gone).await, [], "{gone}");
    }
    let by_name = repo.query(User::FULL_NAME.ge("Name ".to_owned())).all().await.unwrap();
    assert_eq!(by_name.len(), users);
    let indexes = repo.transport().indexes().await.unwrap();
    assert_eq!(indexes.len(), 1);
    let mut notes = repo.all::<Note>().await.unwrap();
    notes.retain(|note| note.slug != "welcome" && note.body == note.text);
    assert_eq!(notes.len(), 2);
    assert!(repo.exists::<Note>("welcome").await.unwrap());
    assert_eq!(dump(repo, "_dust:migrations/versions/*").await.len(), 3);
}

/// Migrations that wait for nothing.
pub(crate) async fn migrate(repo: &Repo, migrations: &[Migration]) -> Result<Vec<u64>, Error> {
    let migrate = repo.migrate(migrations).batch_records(3);
    migrate.sleep(|_| tokio::task::yield_now()).await
}

#[tokio::test]
async fn a_store_goes_through_the_list_once() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Repo::embedded(folder.path(), "acme/app").await.unwrap();
    for repo in [Repo::memory(), on_disk] {
        fill(&repo, 10).await;
        let told = std::sync::Mutex::new(Vec::new());
        let done = repo
            .migrate(&MIGRATIONS[..1])
            .batch_records(4)
            .on_progress(|progress| {
                told.lock()
                    .unwrap()
                    .push((progress.step, progress.records, progress.is_done));
            })
            .await
            .unwrap();
        assert_eq!(done, [1]);
        let told = told.into_inner().unwrap();
        assert_eq!(
            told,
            [
                (0, 4, false),
                (0, 8, false),
                (0, 8, false),
                (1, 0, false),
                (1, 4, false),
                (1, 8, false),
                (1, 8, false),
                (2, 0, true)
            ]
        );
        assert_eq!(migrate(&repo, MIGRATIONS).await.unwrap(), [3, 7]);
        assert_migrated(&repo, 10).await;
        let before = dump(&repo, "**").await;
        assert_eq!(migrate(&repo, MIGRATIONS).await.unwrap(), [0_u64; 0]);
        assert_eq!(dump(&repo, "**").await, before);
    }
}

/// Kinds of leaves stay, what is there already stays, and null is no value.
#[tokio::test]
async fn fields_are_copied_as_they_are() {
    const COPY: &[Migration] = &[Migration::new(1, "copy", &[Step::copy_field::<Old>("from", "to")])];
    let repo = Repo::memory();
    let json = |text: &str| Value::from_json(text).unwrap();
    let decimal = json(r#"{"_type":"decimal","_typed":"1.50"}"#);
    let ops = [
        Op::set(path("users/a/from"), decimal),
        Op::increment(path("users/b/from"), 5),
        Op::add(path("users/c/from"), "old"),
        Op::add(path("users/c/from"), "new"),
        Op::set(path("users/d/from"), json(r#"{"x":{"y":1},"z":[1,2]}"#)),
        Op::set(path("users/e"), json(r#"{"from":1,"to":2}"#)),
        Op::set(path("users/f/from"), Value::null()),
        Op::set(path("users/g/other"), 1),
        Op::set(path("users/h"), "no record"),
        Op::set(path("users/h-i/from"), 1),
        Op::set(path("users/h/from"), 2),
    ];
    repo.transport().write(Ops::new(ops)).await.unwrap();
    let before = dump(&repo, "users/**").await;
    assert_eq!(repo.migrate(COPY).batch_records(1).await.unwrap(), [1]);
    for slug in ["a", "b", "c", "d", "h", "h-i"] {
        let below = |field: &str| {
            let repo = repo.clone();
            let root = path(&format!("users/{slug}/{field}"));
            async move {
                let leaves = dump(&repo, "users/**").await.into_iter();
                let own = leaves.filter(|entry| entry.path.starts_with(&root));
                own.map(|entry| {
                    (
                        entry.path.as_str()[root.as_str().len()..].to_owned(),
                        entry.kind,
                        entry.value,
                    )
                })
                .collect::<Vec<_>>()
            }
        };
        let (from, to) = (below("from").await, below("to").await);
        assert!(!from.is_empty());
        assert_eq!(from, to, "{slug}");
    }
    let after = dump(&repo, "users/**").await;
    let changed: Vec<_> = after
        .iter()
        .filter(|entry| !before.contains(entry))
        .map(|entry| entry.path.as_str())
        .collect();
    assert!(!changed.iter().any(|path| {
        ["users/e", "users/f", "users/g"]
            .iter()
            .any(|slug| path.starts_with(slug))
    }));
}

#[tokio::test]
async fn a_changed_history_is_refused() {
    const OTHER_NAME: &[Migration] = &[Migration::new(
        1,
        "names are short",
        &[Step::rename_field::<User>("name", "full_name")],
    )];
    const OTHER_STEPS: &[Migration] = &[Migration::new(
        1,
        "names are whole",
        &[Step::rename_field::<User>("name", "whole")],
    )];
    const DESCENDING: &[Migration] = &[Migration::new(2, "a", &[]), Migration::new(2, "b", &[])];
    let repo = Repo::memory();
    migrate(&repo, &MIGRATIONS[..2]).await.unwrap();
    let before = dump(&repo, "**").await;
    for (list, words) in [
        (OTHER_NAME, "`names are short`"),
        (OTHER_STEPS, "rename_field users name whole"),
        (
            &MIGRATIONS[1..],
            "the migration 1, `names are whole`, and the list has not",
        ),
        (DESCENDING, "must ascend: 2 follows 2"),
    ] {
        let error = migrate(&repo, list).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParams);
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(dump(&repo, "**").await, before);
    // One that is new among those that are done is run.
    let list = [MIGRATIONS[0], MIGRATIONS[1], Migration::new(4, "nothing", &[])];
    assert_eq!(migrate(&repo, &list).await.unwrap(), [4]);
}

#[tokio::test]
async fn a_field_that_is_used_is_not_deleted() {
    const OF_SCHEMA: &[Migration] = &[Migration::new(1, "x", &[Step::delete_field::<Old>("name")])];
    const RENAMED: &[Migration] = &[Migration::new(
        1,
        "x",
        &[Step::rename_field::<Old>("name", "full_name")],
    )];
    const OF_INDEX: &[Migration] = &[Migration::new(1, "x", &[Step::delete_field::<User>("legacy")])];
    let repo = Repo::memory();
    // Where no record has it, there is nothing to refuse: a new store goes through old migrations.
    assert_eq!(migrate(&repo, OF_SCHEMA).await.unwrap(), [1]);
    for (list, words) in [
        (OF_SCHEMA, "the schema has it"),
        (RENAMED, "the schema has it"),
        (OF_INDEX, "users by legacy"),
    ] {
        let repo = Repo::memory();
        fill(&repo, 3).await;
        let before = dump(&repo, "users/**").await;
        let error = migrate(&repo, list).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParams);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(dump(&repo, "users/**").await, before);
        // The claim has been given back.
        assert_eq!(dump(&repo, "_dust:migrations/claim").await, []);
    }
}

/// A store whose process dies at one of its calls.
pub(crate) fn dying(store: &Embedded, calls: usize, has_effect: bool) -> Repo {
    hooked(
        store.clone(),
        Hook::Dies {
            calls_left: AtomicUsize::new(calls),
            has_effect,
        },
    )
}

fn hooked(store: Embedded, hook: Hook) -> Repo {
    let store = Arc::new(store);
    Repo::new(Arc::new(Hooked { store, hook }))
}

/// A store, and a Repo on it.
pub(crate) fn memory() -> (Embedded, Repo) {
    let store = Embedded::memory();
    (store.clone(), Repo::new(Arc::new(store)))
}

/// Polls a future, which is not to end, until something is so.
async fn poll_until<F: Future>(mut future: Pin<&mut F>, is_so: impl Fn() -> bool) {
    while !is_so() {
        assert!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        tokio::task::yield_now().await;
    }
}

async fn is_alive(dying: &Repo) -> bool {
    dying.exists::<User>("u000").await.is_ok()
}

/// Whichever call is the last of a process, the next one goes on and comes to the same.
#[tokio::test]
async fn migrations_survive_a_kill_at_every_call() {
    for has_effect in [false, true] {
        let mut kills = 0;
        for calls in 1.. {
            let (store, repo) = memory();
            fill(&repo, 8).await;
            let dying = dying(&store, calls, has_effect);
            match migrate(&dying, MIGRATIONS).await {
                // A claim that could not be given back is left, and all is done.
                Ok(done) => assert_eq!(done, [1, 3, 7]),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
                    migrate(&repo, MIGRATIONS).await.unwrap();
                }
            }
            if dump(&repo, "_dust:migrations/claim").await.is_empty() {
                assert_migrated(&repo, 8).await;
            }
            if is_alive(&dying).await {
                break;
            }
            kills += 1;
        }
        assert!(kills > 30, "only {kills} calls");
    }
}

/// What a killed run has done stays done: the next one goes on behind it.
#[tokio::test]
async fn a_killed_run_is_resumed_at_its_cursor() {
    let (store, repo) = memory();
    fill(&repo, 30).await;
    let dying = dying(&store, 14, false);
    let reached = AtomicU32::new(0);
    let run = dying
        .migrate(&MIGRATIONS[..1])
        .batch_records(3)
        .on_progress(|progress| {
            reached.store(u32::try_from(progress.records).unwrap(), Ordering::SeqCst);
        });
    run.await.unwrap_err();
    let reached = reached.into_inner();
    assert!(reached >= 6);
    let first = std::sync::Mutex::new(None);
    let run = repo
        .migrate(&MIGRATIONS[..1])
        .batch_records(3)
        .sleep(|_| tokio::task::yield_now());
    let run = run.on_progress(|progress| {
        first.lock().unwrap().get_or_insert(progress.records);
    });
    assert_eq!(run.await.unwrap(), [1]);
    assert_eq!(first.into_inner().unwrap(), Some(u64::from(reached) + 3));
    assert_eq!(
        repo.all::<User>().await.unwrap(),
        (0..30).map(renamed).collect::<Vec<_>>()
    );
}

static RUNS: AtomicU32 = AtomicU32::new(0);

/// Many that start at once: one works, the others wait, and each step is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_migrates_and_the_others_wait() {
    const LIST: &[Migration] = &[
        Migration::new(1, "names are whole", &[Step::rename_field::<User>("name", "full_name")]),
        Migration::new(
            2,
            "count",
            &[Step::custom("count", |_| {
                Box::pin(async {
                    RUNS.fetch_add(1, Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    Ok(())
                })
            })],
        ),
    ];
    let repo = Repo::memory();
    fill(&repo, 40).await;
    let tasks = (0..6).map(|_| {
        let repo = repo.clone();
        tokio::spawn(async move {
            // Time passes with the beats of the one who works, so nobody takes over.
            let watched = repo.clone();
            let beat = move |_| {
                let repo = watched.clone();
                async move {
                    let before = dump(&repo, "_dust:migrations/claim").await;
                    while !before.is_empty() && dump(&repo, "_dust:migrations/claim").await == before {
                        tokio::task::yield_now().await;
                    }
                }
            };
            repo.migrate(LIST).batch_records(2).sleep(beat).await.unwrap()
        })
    });
    let mut done: Vec<_> = futures_util::future::join_all(tasks)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    done.sort_unstable();
    assert_eq!(done, [1, 2]);
    assert_eq!(RUNS.load(Ordering::SeqCst), 1);
    assert_eq!(dump(&repo, "users/*/full_name").await.len(), 40);
}

/// Who stands still for a lease is taken over, and writes nothing more when it wakes up.
#[tokio::test]
async fn a_claim_that_stands_still_is_taken_over() {
    let (store, repo) = memory();
    fill(&repo, 10).await;
    let gate = Arc::new(Gate::default());
    let slow = hooked(
        store,
        Hook::Holds {
            // The claim, the state, and ops on records.
            ops_max: 2,
            gate: Arc::clone(&gate),
        },
    );
    let mut first = pin!(migrate(&slow, MIGRATIONS));
    poll_until(first.as_mut(), || gate.is_holding()).await;
    assert_eq!(dump(&repo, "_dust:migrations/claim").await.len(), 1);

    let waited = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&waited);
    let second = repo
        .migrate(MIGRATIONS)
        .lease(Duration::from_secs(8))
        .sleep(move |wait| {
            assert_eq!(wait, Duration::from_secs(1));
            count.fetch_add(1, Ordering::SeqCst);
            std::future::ready(())
        });
    assert_eq!(second.await.unwrap(), [1, 3, 7]);
    assert!(waited.load(Ordering::SeqCst) >= 8);
    assert_migrated(&repo, 10).await;

    let before = dump(&repo, "**").await;
    gate.open();
    let error = first.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("taken over"), "{error}");
    assert_eq!(dump(&repo, "**").await, before);
}

/// A step that takes long lets the claim beat, and is given up when somebody has taken over all the same.
#[tokio::test]
async fn a_long_step_keeps_the_claim() {
    const LONG: &[Migration] = &[Migration::new(
        1,
        "wait",
        &[Step::custom("wait", |_| Box::pin(std::future::pending()))],
    )];
    let repo = Repo::memory();
    let sleeps = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&sleeps);
    let mut first = pin!(
        repo.migrate(LONG)
            .sleep(move |_| {
                let waits = count.fetch_add(1, Ordering::SeqCst) >= 5;
                async move {
                    if waits {
                        std::future::pending::<()>().await;
                    }
                }
            })
            .into_future()
    );
    poll_until(first.as_mut(), || sleeps.load(Ordering::SeqCst) == 6).await;
    let claim = dump(&repo, "_dust:migrations/claim").await;
    let (_, beats): (String, u64) = claim[0].value.to().unwrap();
    assert_eq!(beats, 5);
}

/// Writers of the old release and of the new one go on meanwhile, and nothing that they write is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_beside_lose_nothing() {
    let repo = Repo::memory();
    fill(&repo, 60).await;
    let writers: Vec<_> = (0..3_usize)
        .map(|writer| {
            let repo = repo.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    for number in 0..60 {
                        let slug = format!("u{number:03}");
                        // Each counts up by compare-and-swap, and so sees a record as it is before or after its step.
                        loop {
                            let found = repo.get_versioned::<User>(&slug).await.unwrap().unwrap();
                            let visits = found.visits.unwrap() + 1;
                            let edit = found.change().put(User::VISITS, visits);
                            match repo.update(edit).if_match(found.version()).await {
                                Err(error) => assert!(error.is_conflict(), "{error}"),
                                Ok(_) => break,
                            }
                        }
                        if round == 0 && number % 20 == writer {
                            let update = old(number).change().put(Old::NAME, format!("New {number}"));
                            repo.update(update).await.unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    migrate(&repo, MIGRATIONS).await.unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    let users = repo.all::<User>().await.unwrap();
    assert_eq!(users.len(), 60);
    for (number, user) in users.iter().enumerate() {
        assert_eq!(user.visits, Some(15), "{}", user.slug);
        let late = repo.get::<Old>(&user.slug).await.unwrap().unwrap().name;
        // A name that was written before the step was moved; one that was written later is where it was written.
        let names = [user.full_name.as_deref(), late.as_deref()];
        let new = format!("New {number}");
        let expected = if number % 20 < 3 { new } else { format!("Name {number}") };
        assert!(names.contains(&Some(&expected)), "{number}: {names:?}");
    }
}

/// A store that does not compare whole records refuses to copy fields, and does the rest.
#[tokio::test]
async fn what_cannot_be_compared_is_refused() {
    const DELETE: &[Migration] = &[Migration::new(1, "x", &[Step::delete_field::<User>("legacy")])];
    for (list, is_refused) in [(&MIGRATIONS[..1], true), (DELETE, false)] {
        let (store, repo) = memory();
        repo.insert(old(0)).await.unwrap();
        let done = migrate(&hooked(store, Hook::Plain), list).await;
        if is_refused {
            assert_eq!(done.unwrap_err().kind(), ErrorKind::NotSupported);
        } else {
            assert_eq!(done.unwrap(), [1]);
            assert_eq!(dump(&repo, "users/*/legacy").await, []);
        }
    }
}

/// A future of the migration can be dropped; the claim that it leaves is taken over.
#[tokio::test]
async fn a_dropped_run_is_taken_over() {
    const WAIT: &[Migration] = &[Migration::new(
        1,
        "wait",
        &[Step::custom("wait", |repo| {
            Box::pin(async move {
                if !repo.exists::<Note>("go").await? {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
        })],
    )];
    let repo = Repo::memory();
    fill(&repo, 5).await;
    let waits = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&waits);
    let mut run = Box::pin(
        repo.migrate(WAIT)
            .sleep(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::pending()
            })
            .into_future(),
    );
    poll_until(run.as_mut(), || waits.load(Ordering::SeqCst) == 1).await;
    drop(run);
    assert_eq!(dump(&repo, "_dust:migrations/claim").await.len(), 1);
    let note = Note {
        slug: "go".into(),
        text: Some("go".into()),
        body: None,
    };
    repo.insert(note).await.unwrap();
    assert_eq!(migrate(&repo, WAIT).await.unwrap(), [1]);
}
