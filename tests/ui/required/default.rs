use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(required, default)]
    title: String,
}

fn main() {}
