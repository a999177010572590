use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "reading/~links")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
