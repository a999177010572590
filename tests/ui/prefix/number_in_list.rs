use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = ["reading", 3])]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
