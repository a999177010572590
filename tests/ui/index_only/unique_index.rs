use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", write_primary = false, index(name, unique, mapped = false))]
struct User {
    slug: String,
    name: String,
    age: u32,
}

fn main() {}
