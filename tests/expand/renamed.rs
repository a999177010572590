#[derive(DustSchema)]
#[dust(crate = "crate::reexport::dust", prefix = "kinds")]
#[validate(schema(function = "kind"))]
struct r#Kind {
    r#type: String,
    #[dust(slug)]
    r#slug: String,
}
