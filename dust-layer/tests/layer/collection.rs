//! Indexes over records that are no rows: leaves that some other code keeps at keys of its own.

use std::borrow::Cow;

use dust_layer::index::{FieldId, IndexDef, IndexField, Part, Record, RecordSource, Records};
use dust_layer::migration::{Command, Migration, Migrator, Repair};
use dust_layer::query::{Cursor, Query};
use dust_layer::table::PrimaryKey;
use dust_layer::tuple::{pack, strinc, unpack};
use dust_layer::value::{FieldType, FieldValue};
use dust_layer::{Direction, Engine, Error, Isolation, QueryError, RangeRead, Tenant, TenantTransaction, Transaction};
use futures_core::future::BoxFuture;

use super::fixture::tenant;

/// A link of two leaves, `links/SLUG/title` and `links/SLUG/visits`.
#[derive(Debug, Clone, PartialEq)]
struct Link {
    key: PrimaryKey,
    title: Option<String>,
    visits: Option<i64>,
}

impl Record for Link {
    fn key(&self) -> &PrimaryKey {
        &self.key
    }

    fn field(&self, field: &IndexField) -> Result<FieldValue, Error> {
        Ok(match &field.id {
            FieldId::Name(name) if **name == *"title" => self.title.clone().into(),
            FieldId::Name(name) if **name == *"visits" => self.visits.into(),
            _ => FieldValue::Null,
        })
    }

    fn covered(&self) -> Cow<'_, [u8]> {
        Cow::Owned(format!("{:?} {:?}", self.title, self.visits).into_bytes())
    }
}

fn key_of(slug: &str) -> PrimaryKey {
    PrimaryKey::from_packed(pack(&(slug,)))
}

fn slug_of(key: &PrimaryKey) -> String {
    unpack::<(String,)>(key.packed()).unwrap().0
}

fn leaf<E: Engine>(tenant: &Tenant<E>, slug: &str, name: &str) -> Vec<u8> {
    tenant.pack(&(&[0xfd_u8][..], &b"e"[..], "links", slug, name))
}

/// After the leaves of a link.
fn end_of(slug: &str) -> Vec<u8> {
    [&pack(&(slug,)), &[0xff][..]].concat()
}

struct Links;

impl Links {
    async fn read<E: Engine>(tx: &TenantTransaction<E>, slug: &str) -> Result<Option<Link>, Error> {
        let tenant = tx.tenant();
        let title = tx.get(&leaf(tenant, slug, "title"), Isolation::Serializable).await?;
        let visits = tx.get(&leaf(tenant, slug, "visits"), Isolation::Serializable).await?;
        if title.is_none() && visits.is_none() {
            return Ok(None);
        }
        Ok(Some(Link {
            key: key_of(slug),
            title: title.map(|title| String::from_utf8(title).unwrap()),
            visits: visits.map(|visits| i64::from_be_bytes(visits.try_into().unwrap())),
        }))
    }

    /// The first slugs after one.
    async fn slugs<E: Engine>(tx: &TenantTransaction<E>, from: &[u8], limit: usize) -> Result<Vec<String>, Error> {
        let prefix = tx.tenant().pack(&(&[0xfd_u8][..], &b"e"[..], "links"));
        let mut begin = [&prefix[..], from].concat();
        let end = strinc(&prefix).unwrap();
        let mut slugs = Vec::new();
        while slugs.len() < limit {
            let read = RangeRead {
                begin: &begin,
                end: &end,
                limit: 1,
                direction: Direction::Forward,
                isolation: Isolation::Snapshot,
            };
            let found = tx.get_range(read).await?;
            let Some(key) = found.last_key() else { break };
            let (slug, _) = unpack::<(String, String)>(key.strip_prefix(&prefix[..]).unwrap())?;
            begin = [&prefix[..], &end_of(&slug)].concat();
            slugs.push(slug);
        }
        Ok(slugs)
    }
}

impl<E: Engine> RecordSource<E> for Links {
    fn batch<'a>(&'a self, tx: &'a TenantTransaction<E>, part: Part<'a>) -> BoxFuture<'a, Result<Records, Error>> {
        Box::pin(async move {
            let mut slugs = Self::slugs(tx, part.from.unwrap_or_default(), part.limit).await?;
            if let Some(to) = part.to {
                slugs.retain(|slug| end_of(slug)[..] <= *to);
            }
            let next = slugs.last().filter(|_| slugs.len() == part.limit);
            let next = next.map(|slug| end_of(slug));
            let mut records: Vec<Box<dyn Record>> = Vec::new();
            for slug in &slugs {
                if let Some(link) = Self::read(tx, slug).await? {
                    records.push(Box::new(link));
                }
            }
            Ok(Records { records, next })
        })
    }

    fn end<'a>(&'a self, tx: &'a TenantTransaction<E>) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        Box::pin(async move { Ok(Self::slugs(tx, &[], usize::MAX).await?.last().map(|slug| end_of(slug))) })
    }

    fn get<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        key: &'a PrimaryKey,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Record>>, Error>> {
        Box::pin(async move {
            let found = Self::read(tx, &slug_of(key)).await?;
            Ok(found.map(|link| -> Box<dyn Record> { Box::new(link) }))
        })
    }
}

/// What a store does for a write of one leaf: its own write, and the indexes in the same transaction.
async fn write<E: Engine>(
    tx: &TenantTransaction<E>,
    slug: &str,
    name: &str,
    value: Option<&[u8]>,
) -> Result<(), Error> {
    let old = Links::read(tx, slug).await?;
    let key = leaf(tx.tenant(), slug, name);
    match value {
        Some(value) => tx.raw().set(&key, value),
        None => tx.raw().clear(&key),
    }
    let new = Links::read(tx, slug).await?;
    let catalog = tx.catalog("links").await?;
    let (old, new) = (old.as_ref().map(record), new.as_ref().map(record));
    tx.maintain(&catalog, old, new).await
}

fn record(link: &Link) -> &dyn Record {
    link
}

fn slug_field() -> [IndexField; 1] {
    [IndexField::named("slug", FieldType::Text)]
}

fn field(name: &str, kind: FieldType) -> IndexField {
    IndexField::named(name, kind)
}

async fn found<E: Engine>(tx: &TenantTransaction<E>, query: &Query) -> Result<Vec<String>, Error> {
    let plan = query.plan_entries(&*tx.catalog("links").await?, &slug_field())?;
    Ok(tx
        .entries(&plan, None)
        .await?
        .entries
        .iter()
        .map(|entry| slug_of(&entry.key))
        .collect())
}

pub(crate) async fn leaves_are_indexed_kept_queried_and_checked<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let migrator = Migrator::new()
        .source("links", Links)
        .batch_records(2.try_into().unwrap());
    let tx = tenant.begin();
    for (number, slug) in (0_i64..).zip(["a", "b", "c", "d", "e"]) {
        write(&tx, slug, "title", Some(format!("Title {}", number % 2).as_bytes()))
            .await
            .unwrap();
        write(&tx, slug, "visits", Some(&number.to_be_bytes())).await.unwrap();
    }
    tx.commit().await.unwrap();
    let by_title = vec![field("title", FieldType::Text), field("visits", FieldType::Integer)];
    let commands = [
        Command::create_index("links", IndexDef::new(by_title).unwrap()),
        Command::create_index(
            "links",
            IndexDef::new(vec![field("visits", FieldType::Integer)])
                .unwrap()
                .covering(),
        ),
    ];
    migrator.run(&tenant, &[Migration::new(1, commands)]).await.unwrap();

    let tx = tenant.begin();
    let even = Query::new().equals("title", "Title 0");
    assert_eq!(found(&tx, &even).await.unwrap(), ["a", "c", "e"]);
    let order = even.clone().order_by("visits", Direction::Reverse).limit(2);
    assert_eq!(found(&tx, &order).await.unwrap(), ["e", "c"]);
    // Any write of a leaf keeps them right.
    write(&tx, "b", "title", Some(b"Title 0")).await.unwrap();
    write(&tx, "c", "visits", None).await.unwrap();
    write(&tx, "e", "title", None).await.unwrap();
    write(&tx, "e", "visits", None).await.unwrap();
    assert_eq!(found(&tx, &even).await.unwrap(), ["c", "a", "b"]);
    tx.commit().await.unwrap();

    let tx = tenant.begin();
    let catalog = tx.catalog("links").await.unwrap();
    let visited = Query::new().range("visits", FieldValue::from(1)..).limit(1);
    let plan = visited.plan_entries(&catalog, &slug_field()).unwrap();
    assert_eq!(
        visited.explain(plan.clone(), None).to_string(),
        "index (visits) of links: visits >= 1, forward, at most 1"
    );
    let first = tx.entries(&plan, None).await.unwrap();
    assert_eq!(
        first.entries[0].covered.as_deref(),
        Some(&b"Some(\"Title 0\") Some(1)"[..])
    );
    let cursor = Cursor::from_bytes(&first.next.unwrap().to_bytes()).unwrap();
    let second = tx.entries(&plan, Some(&cursor)).await.unwrap();
    assert_eq!(
        second
            .entries
            .iter()
            .map(|entry| slug_of(&entry.key))
            .collect::<Vec<_>>(),
        ["d"]
    );
    // An index goes on with the primary key; what no index has is refused with the one that would serve.
    let slugs = Query::new()
        .equals("title", "Title 0")
        .equals("visits", 1)
        .range("slug", FieldValue::from("b")..);
    assert_eq!(found(&tx, &slugs).await.unwrap(), ["b"]);
    let refused = found(
        &tx,
        &Query::new().equals("note", "x").order_by("title", Direction::Forward),
    )
    .await
    .unwrap_err();
    let fields = vec!["note".to_owned(), "title".to_owned()];
    assert_eq!(refused.query(), Some(&QueryError::NoIndex { fields }));
    for index in ["title,visits", "visits"] {
        let found = migrator.verify(&tenant, "links", index, Repair::Report).await.unwrap();
        assert!(
            found.is_sound() && (found.records, found.entries) == (4, 4),
            "{index}: {found:?}"
        );
    }
}

pub(crate) async fn what_was_written_past_the_index_is_found_and_repaired<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let migrator = Migrator::new()
        .source("links", Links)
        .batch_records(2.try_into().unwrap());
    let def = IndexDef::new(vec![field("visits", FieldType::Integer)]).unwrap();
    let covering = IndexDef::new(vec![field("title", FieldType::Text)]).unwrap().covering();
    let commands = [def, covering].map(|def| Command::create_index("links", def));
    migrator.run(&tenant, &[Migration::new(1, commands)]).await.unwrap();
    let tx = tenant.begin();
    for (number, slug) in (0_i64..).zip(["a", "b", "c", "d", "e"]) {
        write(&tx, slug, "title", Some(b"Title")).await.unwrap();
        write(&tx, slug, "visits", Some(&number.to_be_bytes())).await.unwrap();
    }
    tx.commit().await.unwrap();
    // Somebody who knows no indexes: one changed, one gone, one new.
    let tx = tenant.begin();
    tx.raw().set(&leaf(&tenant, "b", "visits"), &70_i64.to_be_bytes());
    tx.raw().clear(&leaf(&tenant, "c", "title"));
    tx.raw().clear(&leaf(&tenant, "c", "visits"));
    tx.raw().set(&leaf(&tenant, "f", "visits"), &5_i64.to_be_bytes());
    tx.commit().await.unwrap();
    let verify = async |index: &str, repair| {
        let found = migrator.verify(&tenant, "links", index, repair).await.unwrap();
        (found.missing, found.orphaned, found.outdated)
    };
    assert_eq!(verify("visits", Repair::Report).await, (2, 2, 0));
    assert_eq!(verify("title", Repair::Report).await, (1, 1, 1));
    for index in ["visits", "title"] {
        verify(index, Repair::Fix).await;
        assert_eq!(verify(index, Repair::Report).await, (0, 0, 0));
    }
    let all = Query::new().order_by("visits", Direction::Forward);
    assert_eq!(found(&tenant.begin(), &all).await.unwrap(), ["a", "d", "e", "f", "b"]);
}
