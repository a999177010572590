//! The promises of the store.

mod conformance {
    mod memory {
        use dust_store::Embedded;

        async fn fresh() -> (Embedded, ()) {
            (Embedded::memory(), ())
        }

        dust_transport::transport_suite!(fresh);
    }
}
