use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(draft))]
struct User {
    slug: String,
    #[dust(skip)]
    draft: bool,
}

fn main() {}
