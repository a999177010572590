use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[serde(skip)]
    slug: String,
}

fn main() {}
