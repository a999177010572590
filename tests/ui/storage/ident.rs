use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", storage = flat)]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
