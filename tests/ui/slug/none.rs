use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    title: String,
}

fn main() {}
