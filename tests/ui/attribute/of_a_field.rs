use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", required)]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
