use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug, rename = "key")]
    id: String,
}

fn main() {}
