use dust_orm::DustSchema;

#[derive(DustSchema)]
struct Link {
    slug: String,
}

fn main() {}
