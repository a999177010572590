//! Many nodes and writers at once, on real threads.

use dust_layer::layer::Layer;
use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::row::OnConflict;
use dust_layer::{Engine, Error, Tenant};

use super::fixture::{assert_sound, ids, insert, tenant, user, users};

fn migrations() -> [Migration; 3] {
    let index = |fields: &[&str]| users().index(fields.iter()).unwrap();
    [
        Migration::new(1, [Command::create_index("users", index(&["name"]))]),
        Migration::new(
            2,
            [
                Command::create_index("users", index(&["department", "age"]).covering()),
                Command::drop_index("users", "name"),
            ],
        ),
        Migration::new(3, [Command::create_index("users", index(&["name"]))]),
    ]
}

/// Writes rows from the last to the first, so that it crosses every build, and changes and deletes others.
async fn write<E: Engine>(tenant: Tenant<E>, offset: i64, count: i64) -> Result<(), Error> {
    let table = &users();
    for id in (1..=count).rev() {
        tenant
            .transact(async |tx| {
                tx.insert(table, &user(offset + id, "New", "law", id)).await?;
                let other = table.primary_key([1 + (id * 7 + offset) % 300])?;
                match id % 3 {
                    0 => drop(tx.delete(table, &other).await?),
                    1 => drop(
                        tx.upsert(
                            table,
                            &user(1 + (id * 7 + offset) % 300, "Old", "ops", id),
                            OnConflict::ReplaceAll,
                        )
                        .await?,
                    ),
                    _ => {}
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    Ok(())
}

pub(crate) async fn nodes_that_migrate_at_once_and_writers_that_cross_them_end_sound<E: Engine>(engine: &E) {
    let seed = tenant(engine).await;
    let rows: Vec<_> = (1..=300).map(|id| user(id, "Ada", "eng", id)).collect();
    insert(&seed, &rows).await.unwrap();
    let mut nodes = Vec::new();
    for _ in 0..6 {
        let engine = engine.clone();
        nodes.push(tokio::spawn(async move {
            let tenant = Layer::new(&engine).open("acme", "reading").await?;
            let migrator = Migrator::new().table(&users()).batch_records(5.try_into().unwrap());
            migrator.run(&tenant, &migrations()).await
        }));
    }
    let mut writers = Vec::new();
    for offset in [1000, 2000] {
        let tenant = Layer::new(engine).open("acme", "reading").await.unwrap();
        writers.push(tokio::spawn(write(tenant, offset, 60)));
    }
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    let mut ran = Vec::new();
    for node in nodes {
        ran.extend(node.await.unwrap().unwrap());
    }
    ran.sort_unstable();
    assert_eq!(ran, [1, 2, 3], "each of them once");
    assert_sound(&seed).await;
    let tx = seed.begin();
    let all = tx.query(&users(), &Query::new()).await.unwrap();
    let mut found = 0;
    for name in ["Ada", "New", "Old"] {
        found += ids(&tx, &Query::new().equals("name", name)).await.unwrap().len();
    }
    assert_eq!(found, all.len());
    assert_eq!(ids(&tx, &Query::new().equals("name", "New")).await.unwrap().len(), 120);
}

/// Ids that are checked before they are written blindly: the second to commit is refused.
pub(crate) async fn of_many_that_insert_the_same_id_one_wins<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let insert = |tenant: Tenant<E>, name: String| async move {
        let row = user(1, &name, "eng", 1);
        tenant
            .transact(async |tx| tx.insert(&users(), &row).await)
            .await
            .map(drop)
    };
    let tasks: Vec<_> = (0..16)
        .map(|task| tokio::spawn(insert(tenant.clone(), format!("name {task}"))))
        .collect();
    let mut won = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => won += 1,
            Err(error) => assert_eq!(error.row(), Some(&dust_layer::RowError::Exists)),
        }
    }
    assert_eq!(won, 1);
}
