use dust_orm::prelude::*;

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
struct Event {
    slug: String,
    day: String,
}

async fn all(repo: &Repo) {
    let _: Result<Vec<Event>, _> = repo.all().await;
}

fn main() {}
