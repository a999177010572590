use dust_orm::DustSchema;
use serde::Serialize;

#[derive(Serialize, DustSchema)]
#[serde(remote = "Url")]
#[dust(prefix = "links")]
struct Link {
    #[serde(getter = "Url::text")]
    slug: String,
}

struct Url(String);

impl Url {
    fn text(&self) -> &String {
        &self.0
    }
}

fn main() {}
