#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "users", storage = "map", index(department), index(department, name))]
pub struct User {
    #[dust(slug)]
    id: String,
    name: String,
    department: String,
}
