use dust_orm::prelude::*;

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
struct Event {
    slug: String,
    day: String,
}

fn stream(repo: &Repo) {
    drop(repo.stream::<Event>());
}

fn main() {}
