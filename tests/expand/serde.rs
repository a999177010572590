#[derive(Serialize, Deserialize, DustSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[dust(prefix = "reading/and~1or/links")]
struct Page {
    slug: String,
    read_at: u64,
    #[serde(rename = "href")]
    page_url: String,
    #[serde(rename = "size")]
    #[dust(rename = "bytes")]
    size_bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip)]
    cache: Cell<u32>,
    #[serde(with = "hex")]
    hash: [u8; 4],
    #[dust(skip)]
    #[serde(default)]
    draft: String,
}
