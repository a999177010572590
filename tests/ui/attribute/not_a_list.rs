use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust = "links"]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
