use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug, slug)]
    id: String,
}

fn main() {}
