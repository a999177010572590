use dust_orm::DustSchema;

#[derive(DustSchema)]
struct Link {
    title: String,
}

#[derive(DustSchema)]
#[dust(prefix = 3, storage = map)]
enum Page {
    Open,
}

#[derive(DustSchema)]
#[dust(prefix = "~", crate = dust_orm)]
struct Task<'a, 'b>(&'a str, &'b str);

fn main() {}
