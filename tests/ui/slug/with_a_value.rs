use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug = true)]
    id: String,
}

fn main() {}
