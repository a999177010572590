use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", table = "links")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
