use dust_orm::prelude::*;

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    title: String,
}

async fn insert_all(repo: &Repo, links: Vec<Link>) {
    let _ = repo.insert_all(links).await;
}

fn main() {}
