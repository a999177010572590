use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", crate = "3")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
