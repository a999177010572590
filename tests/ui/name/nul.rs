use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(rename = "ti\0tle")]
    title: String,
}

fn main() {}
