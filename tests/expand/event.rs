#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "events", write_primary = false, index(day, user, mapped = false))]
struct Event {
    slug: String,
    day: String,
    user: u32,
}
