use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix)]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
