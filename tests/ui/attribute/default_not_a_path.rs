use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(default = "1 + 1")]
    stars: u32,
}

fn main() {}
