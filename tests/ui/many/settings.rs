use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "reading//links", storage = "flatt", table = "links")]
#[dust(storage = "map")]
struct Link {
    #[dust(slug, required)]
    id: String,
    #[dust(requird, required, required)]
    title: String,
    #[dust(rename = "title", skp)]
    heading: String,
}

fn main() {}
