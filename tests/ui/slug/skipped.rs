use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug, skip)]
    id: String,
}

fn main() {}
