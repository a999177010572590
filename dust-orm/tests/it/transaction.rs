//! Many calls of a Repo that are one.

use std::sync::atomic::{AtomicU32, Ordering};

use dust_orm::prelude::*;
use dust_orm::{Indexed as _, Outcome};
use futures_util::future::join_all;
use futures_util::{FutureExt as _, TryStreamExt as _};

use crate::record::{Link, Page, link, page};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "accounts", storage = "map", index(owner, cents))]
struct Account {
    slug: String,
    owner: String,
    cents: i64,
}

fn account(slug: &str, cents: i64) -> Account {
    Account {
        slug: slug.into(),
        owner: "ada".into(),
        cents,
    }
}

type Done<T> = Result<T, WriteError<Account>>;

async fn with_accounts() -> Repo {
    let repo = Repo::memory();
    assert_eq!(Account::INDEXES.len(), 1);
    repo.ensure_indexes::<Account>().await.unwrap();
    repo.batch_write(Batch::new().insert(account("a", 100)).insert(account("b", 0)))
        .await
        .unwrap();
    repo
}

#[tokio::test]
async fn every_call_sees_what_was_written_before() {
    let repo = with_accounts().await;
    let outside = repo.clone();
    repo.transaction(|tx| {
        let outside = outside.clone();
        async move {
            tx.insert(account("c", 7)).await?;
            let a = tx.get_versioned::<Account>("a").await?.unwrap();
            tx.update(a.change().put(Account::CENTS, 1))
                .if_match(a.version())
                .await?;
            tx.delete::<Account>("b").await?;
            tx.batch_write(
                Batch::new()
                    .insert(link("x"))
                    .insert(page("p"))
                    .delete::<Link>("x")
                    .insert(link("y")),
            )
            .await
            .unwrap();

            let slugs = |accounts: Vec<Account>| accounts.into_iter().map(|account| account.slug).collect::<Vec<_>>();
            assert_eq!(tx.get::<Account>("b").await?, None);
            assert!(tx.exists::<Account>("c").await?);
            assert_eq!(slugs(tx.all().await?), ["a", "c"]);
            assert_eq!(slugs(tx.stream().try_collect().await?), ["a", "c"]);
            let query = tx.query(Account::OWNER.eq("ada")).and(Account::CENTS.gt(0));
            assert_eq!(slugs(query.all().await?), ["a", "c"]);
            assert_eq!(slugs(query.limit(1).page().await?.records), ["a"]);
            assert_eq!(tx.all::<Link>().await?, [link("y")]);
            assert_eq!(tx.all::<Page>().await?, [page("p")]);

            // A version of what was written compares, too, until the commit gives another.
            let c = tx.get_versioned::<Account>("c").await?.unwrap();
            tx.update(c.change().put(Account::CENTS, 8))
                .if_match(c.version())
                .await?;
            let again = tx.update(c.change().put(Account::CENTS, 9)).if_match(c.version()).await;
            assert!(again.unwrap_err().is_conflict());

            assert_eq!(slugs(outside.all().await?), ["a", "b"]);
            Done::Ok(())
        }
    })
    .await
    .unwrap();
    assert_eq!(repo.all::<Account>().await.unwrap(), [account("a", 1), account("c", 8)]);
    assert_eq!(repo.all::<Link>().await.unwrap(), [link("y")]);
}

#[tokio::test]
async fn an_error_a_panic_and_a_drop_leave_nothing() {
    let repo = with_accounts().await;
    let failed: Result<(), Box<dyn std::error::Error + Send + Sync>> = repo
        .transaction(|tx| async move {
            tx.insert(account("c", 1)).await?;
            Err("no money".into())
        })
        .await;
    assert_eq!(failed.unwrap_err().to_string(), "no money");

    let stolen = std::sync::Mutex::new(None);
    let panicking = repo.transaction(|tx| {
        *stolen.lock().unwrap() = Some(tx.clone());
        async move {
            tx.insert(account("c", 1)).await?;
            assert!(!tx.exists::<Account>("c").await?, "a panic");
            Done::Ok(())
        }
    });
    let panicked = std::panic::AssertUnwindSafe(panicking.into_future())
        .catch_unwind()
        .await;
    assert!(panicked.is_err());
    // Whoever has kept the Repo of a transaction that is over learns that it is.
    let stolen = stolen.lock().unwrap().take().unwrap();
    assert_eq!(stolen.all::<Account>().await.unwrap_err().kind(), ErrorKind::Closed);

    let dropped = repo.transaction(|tx| async move {
        tx.insert(account("c", 1)).await?;
        std::future::pending::<()>().await;
        Done::Ok(())
    });
    assert!(dropped.into_future().now_or_never().is_none());
    assert!(!repo.exists::<Account>("c").await.unwrap());
}

/// The closure runs again on what there is by then, and no oftener than is said.
#[tokio::test]
async fn conflicts_run_the_closure_again() {
    for (others, attempts_max) in [(0, 1), (3, 4), (3, 3), (9, 2)] {
        let repo = with_accounts().await;
        let runs = AtomicU32::new(0);
        let transfer = repo
            .transaction(|tx| {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                let outside = &repo;
                async move {
                    let a = tx.fetch::<Account>("a").await?;
                    if run < others {
                        outside.insert(account("a", a.cents + 1000)).await?;
                    }
                    tx.update(a.change().put(Account::CENTS, a.cents - 1)).await?;
                    Done::Ok(a.cents)
                }
            })
            .attempts_max(attempts_max)
            .await;
        let (runs, cents) = (runs.into_inner(), repo.fetch::<Account>("a").await.unwrap().cents);
        if others < attempts_max {
            assert_eq!((transfer.unwrap(), runs), (100 + 1000 * i64::from(others), others + 1));
            assert_eq!(cents, 99 + 1000 * i64::from(others));
        } else {
            let error = transfer.unwrap_err();
            let error = error.dust().unwrap();
            assert_eq!(
                (error.kind(), error.outcome()),
                (ErrorKind::Conflict, Outcome::NotApplied)
            );
            assert_eq!((runs, cents), (attempts_max, 100 + 1000 * i64::from(attempts_max)));
        }
    }
}

/// What the closure finds wrong by itself is final.
#[tokio::test]
async fn conflicts_of_the_closure_are_its_own() {
    let repo = with_accounts().await;
    let mut runs = 0;
    let refused = repo
        .transaction(|tx| {
            runs += 1;
            async move {
                tx.insert(account("a", 1)).if_absent().await?;
                Done::Ok(())
            }
        })
        .await;
    assert!(refused.unwrap_err().is_conflict());
    assert_eq!(runs, 1);
}

async fn count_up(repo: &Repo, times: u32) {
    for _ in 0..times {
        repo.transaction(|tx| async move {
            let seen = tx.fetch::<Account>("a").await?;
            tx.update(seen.change().put(Account::CENTS, seen.cents + 1)).await?;
            Done::Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_tasks_lose_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = Repo::embedded(folder.path(), "acme/bank").await.unwrap();
    for (repo, times) in [(Repo::memory(), 20), (on_disk, 3)] {
        repo.insert(account("a", 0)).await.unwrap();
        let tasks = (0..16).map(|_| {
            let repo = repo.clone();
            tokio::spawn(async move { count_up(&repo, times).await })
        });
        for done in join_all(tasks).await {
            done.unwrap();
        }
        assert_eq!(repo.fetch::<Account>("a").await.unwrap().cents, i64::from(16 * times));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_not_supported() {
    let repo = with_accounts().await;
    let kinds = repo
        .transaction(|tx| async move {
            let nested = tx.transaction(|_| async { Ok::<_, Error>(()) }).await;
            let identified = tx.insert(account("c", 1)).op_id(OpId::random()).await;
            let subscribed = tx.subscribe::<Account>().await.map(drop);
            let indexed = tx.ensure_indexes::<Account>().await;
            let refused = [nested, subscribed, indexed]
                .into_iter()
                .map(|refused| refused.unwrap_err());
            let mut kinds: Vec<_> = refused.map(|error| error.kind()).collect();
            kinds.push(identified.unwrap_err().dust().unwrap().kind());
            Ok::<_, Error>(kinds)
        })
        .await
        .unwrap();
    assert_eq!(kinds, [ErrorKind::NotSupported; 4]);
}

/// A strict Repo gives strict transactions.
#[tokio::test]
async fn strictness_is_inherited() {
    let repo = Repo::memory();
    let half = "accounts/half/cents".parse().unwrap();
    let write = dust_transport::model::Batch::one(dust_transport::model::Op::set(half, "none"));
    repo.transport().write(write).await.unwrap();
    let all = |tx: Repo| async move { tx.all::<Account>().await };
    assert_eq!(repo.transaction(all).await.unwrap(), []);
    let error = repo.strict().transaction(all).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRecord);
}

/// Elsewhere the closure does not run, and the error says what to do instead.
#[cfg(feature = "http")]
#[tokio::test]
async fn remote_stores_have_none() {
    let repo = Repo::http(Config::new("acme/reading", "dust_tok_secret")).unwrap();
    let mut runs = 0;
    let refused = repo.transaction(|_| {
        runs += 1;
        async { Ok::<_, Error>(()) }
    });
    let error = refused.await.unwrap_err();
    assert_eq!(runs, 0);
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert!(error.to_string().contains("batch_write"), "{error}");
}

/// An event, which lives only in its index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
struct Event {
    slug: String,
    day: u32,
    count: u32,
}

fn event(slug: &str, count: u32) -> Event {
    Event {
        slug: slug.into(),
        day: 1,
        count,
    }
}

/// Records that live only in their indexes are queried, inserted and deleted with those that are leaves, and compared.
#[tokio::test]
async fn records_without_leaves_are_a_part_of_it() {
    let repo = with_accounts().await;
    repo.ensure_indexes::<Event>().await.unwrap();
    repo.insert_all([event("a", 1), event("b", 2)]).await.unwrap();
    let runs = AtomicU32::new(0);
    let sum: Result<u32, Error> = repo
        .transaction(|tx| {
            let (runs, repo) = (&runs, &repo);
            async move {
                let events = tx.query(Event::DAY.eq(1_u32)).all().await?;
                if runs.fetch_add(1, Ordering::SeqCst) == 0 {
                    repo.insert(event("c", 4)).await.unwrap();
                }
                tx.delete_records(&events).await?;
                let sum = events.iter().map(|event| event.count).sum();
                tx.insert(event("sum", sum)).await.unwrap();
                tx.insert(account("c", sum.into())).await.unwrap();
                assert_eq!(tx.query(Event::DAY.eq(1_u32)).all().await?, [event("sum", sum)]);
                Ok(sum)
            }
        })
        .await;
    assert_eq!((sum.unwrap(), runs.into_inner()), (7, 2));
    assert_eq!(repo.query(Event::DAY.eq(1_u32)).all().await.unwrap(), [event("sum", 7)]);
    assert_eq!(repo.fetch::<Account>("c").await.unwrap(), account("c", 7));
    // An error leaves nothing.
    let failed: Result<(), Error> = repo
        .transaction(|tx| async move {
            tx.insert_all([event("d", 1)]).await.unwrap();
            tx.fetch::<Account>("missing").await.map(drop)
        })
        .await;
    failed.unwrap_err();
    assert_eq!(repo.query(Event::DAY.eq(1_u32)).all().await.unwrap(), [event("sum", 7)]);
}
