use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: Id,
}

#[derive(Serialize, Deserialize)]
struct Id(String);

fn main() {}
