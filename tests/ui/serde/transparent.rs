use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[serde(transparent)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
}

fn main() {}
