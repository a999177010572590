use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(storage = "map")]
    title: String,
}

fn main() {}
