#[derive(DustSchema)]
#[dust(prefix = ["reading", "to/do"], storage = "map")]
pub(crate) struct Task {
    #[dust(slug)]
    id: Id,
    #[dust(rename = "text", required)]
    title: String,
    #[dust(default)]
    stars: u32,
    #[dust(default = "Priority::usual")]
    priority: Priority,
    #[dust(skip)]
    password: String,
    #[dust(skip, default = "token")]
    token: String,
}
