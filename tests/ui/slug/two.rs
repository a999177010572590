use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    #[dust(slug)]
    id: String,
    #[dust(slug)]
    key: String,
}

fn main() {}
