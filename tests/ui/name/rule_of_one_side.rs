use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[serde(rename_all(serialize = "camelCase"))]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    read_at: String,
}

fn main() {}
