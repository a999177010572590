//! The model's types by their vectors and properties; the suite against a model of the contract, and against the same
//! model with one rule broken at a time.

mod broken;
mod error;
mod id;
mod model;
mod path;
mod pattern;
mod tidy;
mod value;

async fn fresh() -> (model::Model, ()) {
    (model::Model::new(None), ())
}

mod conformance {
    use super::fresh;

    dust_transport::transport_suite!(fresh);
}
