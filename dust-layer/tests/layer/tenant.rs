//! Tenants: apart from each other, and gone when they are deleted.

use dust_layer::layer::Layer;
use dust_layer::query::Query;
use dust_layer::{Atomic, Direction, DirectoryError, Engine, Error, Isolation, RangeRead, Tenant, Transaction};

use super::fixture::{command, everything, ids, indexes, insert, migrate, tenant, user, users};

pub(crate) async fn tenants_are_opened_created_listed_and_deleted<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    assert!(layer.list("acme").await.unwrap().is_empty());
    assert!(!layer.exists("acme", "reading").await.unwrap());
    let missing = layer.open("acme", "reading").await.unwrap_err();
    assert!(matches!(missing, Error::Directory(DirectoryError::NotFound)));
    let tenant = layer.create_or_open("acme", "reading").await.unwrap();
    layer.create_or_open("acme", "writing").await.unwrap();
    layer.create_or_open("other", "reading").await.unwrap();
    assert_eq!((tenant.storage_id(), tenant.id()), ("acme", "reading"));
    assert_eq!(layer.open("acme", "reading").await.unwrap().prefix(), tenant.prefix());
    assert_eq!(layer.list("acme").await.unwrap(), ["reading", "writing"]);
    layer.delete("acme", "reading").await.unwrap();
    assert!(matches!(
        layer.delete("acme", "reading").await,
        Err(Error::Directory(DirectoryError::NotFound))
    ));
    assert_eq!(layer.list("acme").await.unwrap(), ["writing"]);
    assert!(layer.exists("other", "reading").await.unwrap());
}

pub(crate) async fn of_many_that_create_a_tenant_all_get_the_same<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    let open = |layer: Layer<E>| async move { layer.create_or_open("acme", "reading").await };
    let tasks: Vec<_> = (0..11).map(|_| tokio::spawn(open(layer.clone()))).collect();
    let mut prefixes = std::collections::BTreeSet::new();
    for task in tasks {
        prefixes.insert(task.await.unwrap().unwrap().prefix().to_vec());
    }
    assert_eq!(prefixes.len(), 1);
}

pub(crate) async fn keys_of_another_tenant_are_refused<E: Engine>(engine: &E) {
    let ours = Tenant::create_or_open(engine, "acme", "ours").await.unwrap();
    let theirs = Tenant::create_or_open(engine, "acme", "theirs").await.unwrap();
    let tx = ours.begin();
    let key = &theirs.pack(&("a",));
    let refused = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::OtherTenant)), "{outcome:?}");
    refused(tx.set(key, b""));
    refused(tx.clear(key));
    refused(tx.clear_range(key, &theirs.pack(&("b",))));
    refused(tx.clear_range(&ours.pack(&("a",)), &[0xff]));
    refused(tx.atomic(Atomic::Add, key, &[1]));
    refused(tx.set_versionstamped_key(&[key, &[0; 14][..]].concat(), b""));
    refused(tx.set_versionstamped_value(key, &[0; 14]));
    refused(tx.watch(key).map(drop));
    refused(tx.get(key, Isolation::Snapshot).await.map(drop));
    let read = RangeRead {
        begin: b"",
        end: b"\xff",
        limit: 1,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    refused(tx.get_range(read).await.map(drop));
    assert!(ours.unpack::<(String,)>(key).is_err());

    // A cursor and a plan of the other tenant, too.
    insert(&theirs, &[user(1, "Ada", "eng", 1), user(2, "Bob", "eng", 2)])
        .await
        .unwrap();
    insert(&ours, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    let query = Query::new().limit(1);
    let cursor = theirs.begin().page(&users(), &query, None).await.unwrap().next.unwrap();
    let refused = ours.begin().page(&users(), &query, Some(&cursor)).await.unwrap_err();
    assert_eq!(refused.query(), Some(&dust_layer::QueryError::Cursor));
    let plan = query
        .plan(&users(), &theirs.begin().catalog("users").await.unwrap())
        .unwrap();
    assert!(matches!(
        ours.begin().entries(&plan, None).await,
        Err(Error::OtherTenant)
    ));
}

pub(crate) async fn the_application_writes_beside_the_layer_and_not_into_it<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    let row_key = everything(&tenant).await.get(0).unwrap().0.to_vec();
    let tx = tenant.begin();
    let reserved = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::ReservedKey)), "{outcome:?}");
    reserved(tx.set(&row_key, b""));
    reserved(tx.clear(&row_key));
    for space in [&[0xfd_u8][..], &[0xfe]] {
        let (key, beyond) = (tenant.pack(&(space, "x")), tenant.pack(&("x",)));
        reserved(tx.set(&key, b""));
        reserved(tx.clear_range(&key, &beyond));
        reserved(tx.atomic(Atomic::Add, &key, &[1]));
        reserved(tx.set_versionstamped_value(&key, &[0; 14]));
    }
    reserved(tx.clear_range(&tenant.key_range().0, &tenant.key_range().1));
    // The application's own keys, before and after the layer's.
    for key in [
        tenant.pack(&(&b"\xfc"[..],)),
        tenant.pack(&(&b"\xfd\0"[..],)),
        tenant.pack(&("hello", 7)),
    ] {
        tx.set(&key, b"mine").unwrap();
        assert_eq!(
            tx.get(&key, Isolation::Serializable).await.unwrap(),
            Some(b"mine".to_vec())
        );
    }
    let (begin, end) = tenant.range(&("hello",));
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit: 10,
        direction: Direction::Forward,
        isolation: Isolation::Serializable,
    };
    assert_eq!(tx.get_range(read).await.unwrap().len(), 1);
    tx.clear_range(&begin, &end).unwrap();
    let stamped = tenant.pack_with_versionstamp(&("log", dust_layer::tuple::Versionstamp::incomplete(0)));
    tx.set_versionstamped_key(&stamped, b"").unwrap();
    let watch = tx.watch(&tenant.pack(&("hello",))).unwrap();
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    tx.set(&tenant.pack(&("hello",)), b"").unwrap();
    tx.commit().await.unwrap();
    watch.await.unwrap();
    assert_eq!(ids(&tenant.begin(), &Query::new()).await.unwrap(), [1]);
}

pub(crate) async fn a_cleared_tenant_is_empty_and_usable<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"]])).await.unwrap();
    let by_name = Query::new().equals("name", "Ada");
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    let tx = tenant.begin();
    tx.set(&tenant.pack(&("mine",)), b"").unwrap();
    tx.commit().await.unwrap();

    tenant.clear_data().await.unwrap();
    assert!(ids(&tenant.begin(), &by_name).await.unwrap().is_empty());
    assert!(
        tenant
            .begin()
            .get(&tenant.pack(&("mine",)), Isolation::Snapshot)
            .await
            .unwrap()
            .is_some()
    );
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    assert_eq!(ids(&tenant.begin(), &by_name).await.unwrap(), [1]);

    tenant.clear().await.unwrap();
    assert!(everything(&tenant).await.is_empty());
    assert!(ids(&tenant.begin(), &by_name).await.unwrap_err().query().is_some());
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    assert_eq!(everything(&tenant).await.len(), 1, "a row and no entry");
}

pub(crate) async fn a_tenant_that_was_deleted_takes_no_rows_from_those_who_have_it_open<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    let old = layer.create_or_open("acme", "reading").await.unwrap();
    migrate(&old, &indexes(&[&["name"]])).await.unwrap();
    insert(&old, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    // One transaction is under way when another node deletes the tenant and makes a new one.
    let under_way = old.begin();
    under_way.insert(&users(), &user(2, "Bob", "eng", 2)).await.unwrap();
    Layer::new(engine).delete("acme", "reading").await.unwrap();
    let new = Layer::new(engine).create_or_open("acme", "reading").await.unwrap();
    assert_ne!(old.prefix(), new.prefix());
    assert!(matches!(under_way.commit().await, Err(Error::Conflict)));
    let late = insert(&old, &[user(2, "Bob", "eng", 2)]).await.unwrap_err();
    assert!(matches!(late, Error::TenantDeleted));
    let queried = ids(&old.begin(), &Query::new().equals("name", "Ada"))
        .await
        .unwrap_err();
    assert!(matches!(queried, Error::TenantDeleted));
    assert!(ids(&old.begin(), &Query::new()).await.unwrap().is_empty());
    assert!(everything(&old).await.is_empty());
    insert(&new, &[user(3, "Cyd", "eng", 3)]).await.unwrap();
    assert_eq!(everything(&new).await.len(), 1);
}

pub(crate) async fn another_tenants_migration_is_in_nobodys_way<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    let ours = layer.create_or_open("acme", "ours").await.unwrap();
    let theirs = layer.create_or_open("acme", "theirs").await.unwrap();
    insert(&ours, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    let tx = ours.begin();
    tx.insert(&users(), &user(2, "Bob", "eng", 2)).await.unwrap();
    migrate(&theirs, &indexes(&[&["name"]])).await.unwrap();
    tx.commit().await.unwrap();
    // Our own is, of course.
    let tx = ours.begin();
    tx.insert(&users(), &user(3, "Cyd", "eng", 3)).await.unwrap();
    let index = users().index(["name"]).unwrap();
    command(&ours, dust_layer::migration::Command::create_index("users", index))
        .await
        .unwrap();
    assert!(matches!(tx.commit().await, Err(Error::Conflict)));
}

pub(crate) async fn a_layer_above_binds_its_own_transactions<E: Engine>(engine: &E) {
    use dust_layer::TenantTransaction;
    let tenant = tenant(engine).await;
    let raw = std::sync::Arc::new(tenant.engine().begin());
    let tx = TenantTransaction::new(&tenant, std::sync::Arc::clone(&raw));
    tx.insert(&users(), &user(1, "Ada", "eng", 1)).await.unwrap();
    raw.commit().await.unwrap();
    assert_eq!(ids(&tenant.begin(), &Query::new()).await.unwrap(), [1]);
}
