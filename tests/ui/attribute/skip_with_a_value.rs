use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(skip = true)]
    password: String,
}

fn main() {}
