use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[serde(rename(serialize = "href", deserialize = "url"))]
    link: String,
}

fn main() {}
