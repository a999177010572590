//! The model's types by their vectors and properties; the suite against a model of the contract, and against the same
//! model with one rule broken at a time; the client against scripted servers.

mod broken;
#[cfg(feature = "channel")]
mod channel;
mod error;
#[cfg(feature = "http")]
mod http;
mod id;
mod model;
mod path;
mod pattern;
#[cfg(feature = "sync")]
mod sync;
mod tidy;
mod value;

mod conformance {
    use crate::model::Model;

    async fn fresh() -> (Model, ()) {
        (Model::new(None), ())
    }

    dust_transport::transport_suite!(fresh);
}

/// The promises that are left of a store that can do little.
mod limited {
    use crate::model::Model;
    use dust_transport::transport::Capabilities;

    async fn fresh() -> (Model, ()) {
        let capabilities = Capabilities::full()
            .with_subscribe(false)
            .with_subtree_preconditions(false)
            .with_value_ops(false)
            .with_files(false)
            .with_leases(false)
            .with_absent_in_batches(false);
        (
            Model::limited(
                capabilities
                    .with_op_ids(false)
                    .with_batch_ops_max(256)
                    .with_page_leaves_max(50),
            ),
            (),
        )
    }

    dust_transport::transport_suite!(fresh);
}
