use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize, DustSchema)]
#[serde(from = "String", into = "String")]
#[dust(prefix = "links")]
struct Link {
    slug: String,
}

impl From<String> for Link {
    fn from(slug: String) -> Self {
        Self { slug }
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.slug
    }
}

fn main() {}
