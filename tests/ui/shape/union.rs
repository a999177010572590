use dust_orm::DustSchema;

#[derive(DustSchema)]
#[dust(prefix = "links")]
union Link {
    slug: u32,
    title: f32,
}

fn main() {}
