use dust_orm::DustSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    socket: Socket,
}

struct Socket;

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.slug.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { slug: String::deserialize(deserializer)?, socket: Socket })
    }
}

fn main() {}
