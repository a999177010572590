use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = ["reading", "li\0nks"])]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
