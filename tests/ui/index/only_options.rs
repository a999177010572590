use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(unique, mapped = false))]
struct User {
    slug: String,
    name: String,
}

fn main() {}
