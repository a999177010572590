use dust_orm::prelude::*;

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", index(department, name))]
struct User {
    slug: String,
    name: String,
    department: String,
}

#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    title: String,
}

fn main() {
    let repo = Repo::memory();
    let _ = repo.query(User::DEPARTMENT.eq("eng")).order_by(User::NAME.asc()).and(User::NAME.eq("Ada"));
}
