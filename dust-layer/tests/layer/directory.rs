//! The directory layer's rules and bytes, and tenants on top of it.

use std::collections::BTreeSet;

use dust_layer::directory::{self, Directory};
use dust_layer::tuple::unpack;
use dust_layer::{
    Direction, DirectoryError, Engine, Error, Isolation, Pairs, RangeRead, Tenant, Transaction, transact,
};

const NO_LAYER: &[u8] = b"";

fn reason<T: std::fmt::Debug>(outcome: Result<T, Error>) -> DirectoryError {
    match outcome {
        Err(Error::Directory(reason)) => reason,
        other => panic!("not refused by the directory: {other:?}"),
    }
}

async fn everything<E: Engine>(engine: &E) -> Pairs {
    let read = RangeRead {
        begin: b"",
        end: b"\xff",
        limit: usize::MAX,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    engine.begin().get_range(read).await.unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A prefix as the bytes show it: one packed byte string.
fn quoted(prefix: &[u8]) -> String {
    hex(&dust_layer::tuple::pack(&(dust_layer::tuple::Bytes::from(prefix),)))
}

pub(crate) async fn the_tree_has_the_bytes_of_the_official_layer<E: Engine>(engine: &E) {
    let (paths, _) = transact(engine, |tx| async move {
        let storage = directory::create(&*tx, &["Ecto.Adapters.FoundationDB"], NO_LAYER).await?;
        let tenant = directory::create(&*tx, &["Ecto.Adapters.FoundationDB", "some-org"], b"kind").await?;
        Ok::<(Directory, Directory), Error>((storage, tenant))
    })
    .await
    .unwrap();
    let (storage, tenant) = (paths.0.prefix(), paths.1.prefix());
    let number = |prefix| unpack::<(i64,)>(prefix).unwrap().0;
    assert!((0..64).contains(&number(storage)) && (0..64).contains(&number(tenant)) && storage != tenant);

    let mut expected = vec![
        // The version 1.0.0, three little-endian numbers.
        (
            "fe01fe000176657273696f6e00".to_owned(),
            "010000000000000000000000".to_owned(),
        ),
        // The root's child, named by a Unicode string under the integer 0.
        (
            format!("fe01fe00140245{}00", hex(b"cto.Adapters.FoundationDB")),
            hex(storage),
        ),
        // The allocator: two allocations counted in the window at 0, and the candidates that were taken.
        ("fe01fe0001686361001414".to_owned(), "0200000000000000".to_owned()),
        (format!("fe01fe0001686361001501{}", hex(storage)), String::new()),
        (format!("fe01fe0001686361001501{}", hex(tenant)), String::new()),
        // The two nodes, named after their prefixes.
        (format!("fe{}1402{}00", quoted(storage), hex(b"some-org")), hex(tenant)),
        (format!("fe{}016c6179657200", quoted(storage)), String::new()),
        (format!("fe{}016c6179657200", quoted(tenant)), hex(b"kind")),
    ];
    expected.sort();
    let found = everything(engine).await;
    assert_eq!(
        found
            .iter()
            .map(|(key, value)| (hex(key), hex(value)))
            .collect::<Vec<_>>(),
        expected
    );
}

pub(crate) async fn a_tree_written_by_another_binding_is_read<E: Engine>(engine: &E) {
    let tx = engine.begin();
    let set = |key: &[u8], value: &[u8]| tx.set(key, value);
    set(
        b"\xfe\x01\xfe\x00\x01version\x00",
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    set(b"\xfe\x01\xfe\x00\x14\x02Ecto.Adapters.FoundationDB\x00", b"\x15\x07");
    set(b"\xfe\x01\x15\x07\x00\x14\x02some-org\x00", b"\x15\x2a");
    set(b"\xfe\x01\x15\x07\x00\x01layer\x00", b"");
    set(b"\xfe\x01\x15\x2a\x00\x01layer\x00", b"");
    tx.commit().await.unwrap();
    let tenant = Tenant::open(engine, "Ecto.Adapters.FoundationDB", "some-org")
        .await
        .unwrap();
    assert_eq!(tenant.prefix(), b"\x15\x2a");
    assert_eq!(tenant.pack(&("a",)), b"\x15\x2a\x02a\x00");
    assert_eq!(
        Tenant::list(engine, "Ecto.Adapters.FoundationDB").await.unwrap(),
        ["some-org"]
    );
}

pub(crate) async fn paths_are_created_opened_listed_moved_and_removed<E: Engine>(engine: &E) {
    let tx = engine.begin();
    let created = directory::create_or_open(&tx, &["a", "b", "c"], b"layer")
        .await
        .unwrap();
    assert_eq!(
        (created.path(), created.layer()),
        (&["a", "b", "c"].map(str::to_owned)[..], &b"layer"[..])
    );
    assert_eq!(directory::open(&tx, &["a", "b", "c"], NO_LAYER).await.unwrap(), created);
    directory::create(&tx, &["a", "a"], NO_LAYER).await.unwrap();
    assert_eq!(directory::list(&tx, &["a"]).await.unwrap(), ["a", "b"]);
    assert_eq!(directory::list::<_>(&tx, &[] as &[&str]).await.unwrap(), ["a"]);

    let moved = directory::move_to(&tx, &["a", "b"], &["b"]).await.unwrap();
    assert_eq!(
        directory::open(&tx, &["b", "c"], b"layer").await.unwrap().prefix(),
        created.prefix()
    );
    assert!(!directory::exists(&tx, &["a", "b"]).await.unwrap());

    let inside = [moved.prefix(), b"data"].concat();
    let below = [created.prefix(), b"data"].concat();
    tx.set(&inside, b"");
    tx.set(&below, b"");
    directory::remove(&tx, &["b"]).await.unwrap();
    assert!(!directory::exists(&tx, &["b", "c"]).await.unwrap());
    for key in [inside, below] {
        assert_eq!(tx.get(&key, Isolation::Serializable).await.unwrap(), None);
    }
    assert_eq!(directory::list(&tx, &[] as &[&str]).await.unwrap(), ["a"]);
    assert!(!directory::remove_if_exists(&tx, &["b"]).await.unwrap());
    tx.commit().await.unwrap();
}

pub(crate) async fn what_the_rules_forbid_is_refused<E: Engine>(engine: &E) {
    let tx = engine.begin();
    let root: [&str; 0] = [];
    directory::create(&tx, &["a", "b"], b"one").await.unwrap();
    assert_eq!(
        reason(directory::create(&tx, &["part"], b"partition").await),
        DirectoryError::Partition
    );
    let part = directory::create(&tx, &["part"], NO_LAYER).await.unwrap();
    let node =
        dust_layer::tuple::Subspace::from_bytes(b"\xfe").subspace(&dust_layer::tuple::Bytes::from(part.prefix()));
    tx.set(
        &node.pack(&(dust_layer::tuple::Bytes::from(&b"layer"[..]),)),
        b"partition",
    );
    assert_eq!(
        reason(directory::create(&tx, &["a", "b"], NO_LAYER).await),
        DirectoryError::Exists
    );
    assert_eq!(
        reason(directory::open(&tx, &["x"], NO_LAYER).await),
        DirectoryError::NotFound
    );
    assert_eq!(
        reason(directory::open(&tx, &["a", "b"], b"two").await),
        DirectoryError::LayerMismatch
    );
    assert_eq!(
        reason(directory::create_or_open(&tx, &root, NO_LAYER).await),
        DirectoryError::Root
    );
    assert_eq!(reason(directory::remove(&tx, &root).await), DirectoryError::Root);
    assert_eq!(reason(directory::remove(&tx, &["x"]).await), DirectoryError::NotFound);
    assert_eq!(reason(directory::list(&tx, &["x"]).await), DirectoryError::NotFound);
    assert_eq!(
        reason(directory::move_to(&tx, &["a"], &["a", "b", "c"]).await),
        DirectoryError::IntoItself
    );
    assert_eq!(
        reason(directory::move_to(&tx, &["x"], &["y"]).await),
        DirectoryError::NotFound
    );
    assert_eq!(
        reason(directory::move_to(&tx, &["a", "b"], &["a"]).await),
        DirectoryError::Exists
    );
    assert_eq!(
        reason(directory::move_to(&tx, &["a", "b"], &["x", "b"]).await),
        DirectoryError::ParentNotFound
    );
    assert_eq!(
        reason(directory::open(&tx, &["part"], NO_LAYER).await),
        DirectoryError::Partition
    );
    assert_eq!(
        reason(directory::create(&tx, &["part", "below"], NO_LAYER).await),
        DirectoryError::Partition
    );
    assert_eq!(
        reason(directory::remove(&tx, &["part"]).await),
        DirectoryError::Partition
    );
}

pub(crate) async fn a_newer_minor_version_is_read_only_and_a_newer_major_is_refused<E: Engine>(engine: &E) {
    let version_key = b"\xfe\x01\xfe\x00\x01version\x00";
    let with = |major: u8, minor: u8| {
        let tx = engine.begin();
        tx.set(version_key, &[major, 0, 0, 0, minor, 0, 0, 0, 0, 0, 0, 0]);
        tx
    };
    let newer = with(1, 1);
    assert!(!directory::exists(&newer, &["a"]).await.unwrap());
    assert_eq!(
        reason(directory::create(&newer, &["a"], NO_LAYER).await),
        DirectoryError::Version { version: (1, 1, 0) }
    );
    let next = with(2, 0);
    assert_eq!(
        reason(directory::exists(&next, &["a"]).await),
        DirectoryError::Version { version: (2, 0, 0) }
    );
    let garbled = engine.begin();
    garbled.set(version_key, b"1.0.0");
    assert!(matches!(
        directory::exists(&garbled, &["a"]).await,
        Err(Error::Corrupt { .. })
    ));
}

pub(crate) async fn a_prefix_in_use_is_not_given_out<E: Engine>(engine: &E) {
    // Every candidate of the first window is taken by keys that no directory owns.
    let tx = engine.begin();
    tx.set(b"\x14", b"");
    for number in 1..64 {
        tx.set(&[0x15, number, 0], b"");
    }
    tx.commit().await.unwrap();
    assert_eq!(
        reason(directory::create(&engine.begin(), &["a"], NO_LAYER).await),
        DirectoryError::PrefixInUse
    );
}

pub(crate) async fn prefixes_are_unique_over_windows_and_never_given_out_again<E: Engine>(engine: &E) {
    let mut prefixes = BTreeSet::new();
    for batch in 0..30 {
        let (created, _) = transact(engine, |tx| async move {
            let mut prefixes = Vec::new();
            for number in 0..10 {
                let name = format!("{batch}-{number}");
                prefixes.push(directory::create(&*tx, &[name], NO_LAYER).await?.prefix().to_vec());
            }
            directory::remove(&*tx, &[format!("{batch}-0")]).await?;
            Ok::<_, Error>(prefixes)
        })
        .await
        .unwrap();
        for prefix in created {
            assert!(prefixes.insert(prefix), "a prefix was given out twice");
        }
    }
    assert_eq!(prefixes.len(), 300);
    let longest = prefixes.iter().map(Vec::len).max();
    assert_eq!(longest, Some(3), "later windows need two bytes after the code");
    let free = prefixes
        .iter()
        .zip(prefixes.iter().skip(1))
        .all(|(one, next)| !next.starts_with(one));
    assert!(free, "a prefix begins another one");
}

pub(crate) async fn creators_at_once_agree_on_one_tenant<E: Engine>(engine: &E) {
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let shared = Tenant::create_or_open(&engine, "acme", "shared").await.unwrap();
                let own = Tenant::create_or_open(&engine, "acme", &format!("own-{number}"))
                    .await
                    .unwrap();
                (shared.prefix().to_vec(), own.prefix().to_vec())
            })
        })
        .collect();
    let mut shared = BTreeSet::new();
    let mut own = BTreeSet::new();
    for task in tasks {
        let (one, other) = task.await.unwrap();
        shared.insert(one);
        own.insert(other);
    }
    assert_eq!((shared.len(), own.len()), (1, 16));
    assert_eq!(Tenant::list(engine, "acme").await.unwrap().len(), 17);
}

pub(crate) async fn tenants_are_apart_and_go_with_their_keys<E: Engine>(engine: &E) {
    assert_eq!(
        reason(Tenant::open(engine, "acme", "one").await),
        DirectoryError::NotFound
    );
    assert!(Tenant::list(engine, "acme").await.unwrap().is_empty());
    let one = Tenant::create_or_open(engine, "acme", "one").await.unwrap();
    let two = Tenant::create_or_open(engine, "acme", "two").await.unwrap();
    assert_eq!(
        (one.storage_id(), one.id(), one.engine().name()),
        ("acme", "one", engine.name())
    );
    for tenant in [&one, &two] {
        let tx = tenant.engine().begin();
        tx.set(&tenant.pack(&("k", 1)), tenant.id().as_bytes());
        tx.set(&tenant.pack(&("k",)), b"not under k");
        tx.commit().await.unwrap();
    }
    let (begin, end) = one.range(&("k",));
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit: 9,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let pairs = engine.begin().get_range(read).await.unwrap();
    let (key, value) = pairs.get(0).unwrap();
    assert_eq!(
        (pairs.len(), one.unpack::<(String, i64)>(key).unwrap(), value),
        (1, ("k".to_owned(), 1), &b"one"[..])
    );
    assert!(matches!(two.unpack::<(String, i64)>(key), Err(Error::Tuple(_))));

    Tenant::delete(engine, "acme", "one").await.unwrap();
    assert!(!Tenant::exists(engine, "acme", "one").await.unwrap());
    assert_eq!(engine.begin().get(key, Isolation::Snapshot).await.unwrap(), None);
    let (begin, end) = two.key_range();
    let read = RangeRead {
        begin: &begin,
        end: &end,
        ..read
    };
    assert_eq!(engine.begin().get_range(read).await.unwrap().len(), 2);
}
