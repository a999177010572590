use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[serde(tag = "type", rename_all(serialize = "camelCase"))]
#[dust(storage = "maps")]
struct Link {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    slug: String,
    #[serde(skip_serializing)]
    hits: u64,
    #[dust(required, rename = "")]
    #[serde(default)]
    title: String,
}

fn main() {}
