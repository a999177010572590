use dust_orm::{DustSchema, Schema};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "", storage = "tree")]
struct Link {
    slug: String,
    #[dust(unique)]
    title: String,
}

fn save<S: Schema>(record: &S) -> usize {
    record.slug().len()
}

fn uses(link: &Link) -> usize {
    let _ = (Link::SLUG, Link::TITLE);
    save(link)
}

fn main() {
    let _ = uses;
}
