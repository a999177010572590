use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link<'a> {
    slug: String,
    title: &'a str,
}

fn main() {}
