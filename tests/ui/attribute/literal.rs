use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links", "flat")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
