use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug, required)]
    id: String,
}

fn main() {}
