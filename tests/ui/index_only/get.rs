use dust_orm::prelude::*;

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
struct Event {
    slug: String,
    day: String,
}

async fn get(repo: &Repo) {
    let _ = repo.get::<Event>("1").await;
}

fn main() {}
