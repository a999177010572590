#[derive(DustSchema)]
#[dust(prefix = "pages")]
pub struct Page<S, T: Clone = String, const N: usize = 4>
where
    T: Default,
{
    #[dust(slug)]
    name: S,
    body: Vec<T>,
    #[dust(default)]
    footer: T,
    bytes: Bytes<N>,
    views: u64,
}
