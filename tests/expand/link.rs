#[derive(Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "links", storage = "flat")]
pub struct Link {
    #[dust(slug)]
    slug: String,
    #[dust(required)]
    #[validate(length(min = 1, max = 200))]
    title: String,
    #[dust(required)]
    #[validate(url)]
    url: String,
    note: Option<String>,
    read: bool,
}
