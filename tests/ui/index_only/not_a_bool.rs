use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", write_primary = "no", index(name))]
struct User {
    slug: String,
    name: String,
    age: u32,
}

fn main() {}
