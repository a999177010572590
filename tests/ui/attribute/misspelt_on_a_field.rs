use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(requird)]
    title: String,
}

fn main() {}
