use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", storage = "flatt")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
