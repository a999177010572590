use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(default)]
    priority: Priority,
}

#[derive(Serialize, Deserialize)]
enum Priority {
    Low,
    High,
}

fn main() {}
