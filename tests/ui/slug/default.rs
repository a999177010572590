use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug, default)]
    id: String,
}

fn main() {}
