use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(1), index(name, order = "up"))]
struct User {
    slug: String,
    name: String,
}

fn main() {}
