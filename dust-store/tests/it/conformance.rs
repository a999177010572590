//! The suite of `Transport`, over each engine.

mod memory {
    use dust_store::Embedded;

    async fn fresh() -> (Embedded, ()) {
        (Embedded::memory(), ())
    }

    dust_transport::transport_suite!(fresh);
}

mod disk {
    use dust_store::Embedded;
    use tempfile::TempDir;

    async fn fresh() -> (Embedded, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Embedded::open(folder.path(), "acme/site").await.unwrap(), folder)
    }

    dust_transport::transport_suite!(fresh);
}
