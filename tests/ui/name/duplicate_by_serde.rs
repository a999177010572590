use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    title: String,
    #[serde(rename = "title")]
    #[dust(rename = "heading")]
    heading: String,
}

fn main() {}
