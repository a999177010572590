use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(name, mapped = "no"))]
struct User {
    slug: String,
    name: String,
}

fn main() {}
