use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
enum Link {
    Open,
    Read,
}

fn main() {}
