use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "_dust:migrations/versions")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
