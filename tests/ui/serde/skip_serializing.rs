use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[serde(skip_serializing)]
    hits: u64,
}

fn main() {}
