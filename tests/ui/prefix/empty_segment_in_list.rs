use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = ["reading", ""])]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
