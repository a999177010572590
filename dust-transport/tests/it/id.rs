//! Ids.

use std::collections::HashSet;

use dust_transport::model::{DeviceId, OpId, OpKind};

#[test]
fn ids_are_bounded() {
    for bad in [
        String::new(),
        "x".repeat(256),
        "a\0".to_owned(),
        "a\n".to_owned(),
        "\u{85}".to_owned(),
    ] {
        assert!(OpId::new(bad.clone()).is_err(), "{bad:?}");
        assert!(DeviceId::new(bad.clone()).is_err(), "{bad:?}");
    }
    for good in ["x".repeat(255), "é 🦀/~*".to_owned()] {
        assert_eq!(OpId::new(good.clone()).unwrap().as_str(), good);
    }
}

#[test]
fn random_ids_differ() {
    let ids: HashSet<OpId> = (0..10_000).map(|_| OpId::random()).collect();
    assert_eq!(ids.len(), 10_000);
    assert!(
        ids.iter()
            .all(|id| id.as_str().len() == 32 && OpId::new(id.as_str()).is_ok())
    );
    let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(DeviceId::random)).collect();
    let devices: HashSet<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(devices.len(), 4);
}

#[test]
fn ops_have_names() {
    for kind in OpKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
}
