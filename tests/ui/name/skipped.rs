use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(skip, rename = "secret")]
    password: String,
}

fn main() {}
