use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[serde(flatten)]
    more: std::collections::HashMap<String, String>,
}

fn main() {}
