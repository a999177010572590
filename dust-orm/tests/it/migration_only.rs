//! Migrations of records that live only in their indexes: none of them is lost, unless a step says so.

use dust_orm::prelude::*;
use dust_orm::{Migration, Step};

use crate::migration::{dying, memory, migrate};

/// An event of the first release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
struct Old {
    slug: String,
    day: String,
    user: u32,
}

/// An event of the second one, in the same place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(user, mapped = false))]
struct Event {
    slug: String,
    day: String,
    user: u32,
}

const DROP: &[Migration] = &[Migration::new(1, "no days", &[Step::drop_index::<Event>(&["day"])])];

const REPLACE: &[Migration] = &[Migration::new(
    1,
    "by users",
    &[Step::ensure_indexes::<Event>(), Step::drop_index::<Event>(&["day"])],
)];

const GIVE_UP: &[Migration] = &[
    Migration::new(1, "by users", &[Step::ensure_indexes::<Event>()]),
    Migration::new(2, "no events", &[Step::drop_records::<Event>()]),
];

fn old(n: u32) -> Old {
    Old {
        slug: n.to_string(),
        day: format!("d{}", n % 3),
        user: n,
    }
}

async fn fill(repo: &Repo) {
    repo.ensure_indexes::<Old>().await.unwrap();
    repo.insert_all((0..9).map(old)).await.unwrap();
}

async fn by_day(repo: &Repo) -> Vec<Old> {
    let mut found = repo.query(Old::DAY.ge("")).all().await.unwrap();
    found.sort_by_key(|event| event.user);
    found
}

async fn indexes(repo: &Repo) -> Vec<String> {
    let indexes = repo.transport().indexes().await.unwrap();
    indexes.iter().map(|index| index.definition.to_string()).collect()
}

/// The error says what to do, the records stay as they are, and either way out goes on from there.
#[tokio::test]
async fn the_last_index_is_not_dropped() {
    let all: Vec<_> = (0..9).map(old).collect();
    let (_store, repo) = memory();
    fill(&repo).await;
    for _ in 0..2 {
        let error = migrate(&repo, DROP).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParams);
        assert_eq!(
            error.to_string(),
            "the index of events by day (index only) is the last that holds the records of `events`, which live only \
             in their indexes: build another one before (`Step::ensure_indexes`), or give them up (`Step::drop_records`)"
        );
        assert_eq!(by_day(&repo).await, all);
    }
    repo.insert(old(9)).await.unwrap();
    repo.ensure_indexes::<Event>().await.unwrap();
    assert_eq!(migrate(&repo, DROP).await.unwrap(), [1]);
    assert_eq!(indexes(&repo).await, ["events by user (index only)"]);
    assert_eq!(repo.query(Event::USER.ge(0_u32)).all().await.unwrap().len(), 10);
}

/// Another index takes the place of the last one, and the records are in it.
#[tokio::test]
async fn the_last_index_is_replaced() {
    for has_effect in [false, true] {
        for calls in 1.. {
            let (store, repo) = memory();
            fill(&repo).await;
            let killed = migrate(&dying(&store, calls, has_effect), REPLACE).await;
            if killed.is_err() {
                migrate(&repo, REPLACE).await.unwrap();
            }
            assert_eq!(indexes(&repo).await, ["events by user (index only)"]);
            let found = repo.query(Event::USER.ge(0_u32)).all().await.unwrap();
            let users: Vec<_> = found.iter().map(|event| event.user).collect();
            assert_eq!(users, (0..9).collect::<Vec<_>>(), "killed at call {calls}");
            if killed.is_ok() {
                assert!(calls > 5, "only {calls} calls");
                break;
            }
        }
    }
}

/// A step that says so removes the records with all their indexes, wherever it is cut, and nothing else.
#[tokio::test]
async fn records_are_given_up_by_a_step_of_its_own() {
    for has_effect in [false, true] {
        for calls in 1.. {
            let (store, repo) = memory();
            fill(&repo).await;
            repo.insert(Kept {
                slug: "a".to_owned(),
                day: 1,
            })
            .await
            .unwrap();
            repo.ensure_indexes::<Kept>().await.unwrap();
            let killed = migrate(&dying(&store, calls, has_effect), GIVE_UP).await;
            if killed.is_err() {
                migrate(&repo, GIVE_UP).await.unwrap();
            }
            assert_eq!(indexes(&repo).await, ["kept by day"], "killed at call {calls}");
            assert_eq!(repo.query(Kept::DAY.eq(1)).all().await.unwrap().len(), 1);
            repo.ensure_indexes::<Old>().await.unwrap();
            assert_eq!(by_day(&repo).await, []);
            if killed.is_ok() {
                assert!(calls > 5, "only {calls} calls");
                break;
            }
        }
    }
}

/// Records that are leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "kept", index(day))]
struct Kept {
    slug: String,
    day: u32,
}

/// Where records are leaves, there is nothing to give up.
#[tokio::test]
async fn leaves_are_not_given_up() {
    const LIST: &[Migration] = &[Migration::new(1, "nothing", &[Step::drop_records::<Kept>()])];
    let repo = Repo::memory();
    repo.ensure_indexes::<Kept>().await.unwrap();
    repo.insert(Kept {
        slug: "a".to_owned(),
        day: 1,
    })
    .await
    .unwrap();
    assert_eq!(migrate(&repo, LIST).await.unwrap(), [1]);
    assert_eq!(repo.query(Kept::DAY.eq(1)).all().await.unwrap().len(), 1);
}
