use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefx = "links", prefix = "links")]
struct Link {
    slug: String,
    title: String,
}

fn main() {}
