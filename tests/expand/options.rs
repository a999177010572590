#[derive(Serialize, Deserialize, DustSchema)]
#[dust(
    prefix = "users",
    index(email, unique),
    index(unique, "unique", mapped = false),
    index("department", mapped = true)
)]
struct User {
    slug: String,
    email: String,
    unique: bool,
    department: String,
}
