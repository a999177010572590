use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    title: String,
    #[dust(rename = "title")]
    heading: String,
}

fn main() {}
