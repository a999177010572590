use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", storage = "tree")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
