#[derive(DustSchema)]
#[dust(storage = "flta")]
pub struct Link {
    #[dust(slug, required)]
    slug: String,
    title: String,
    TITLE: String,
}
