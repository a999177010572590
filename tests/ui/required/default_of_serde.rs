use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(required)]
    #[serde(default)]
    title: String,
}

fn main() {}
