use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    read_at: String,
    READ_AT: String,
}

fn main() {}
