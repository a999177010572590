use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(skip)]
    #[serde(with = "hex")]
    hash: [u8; 2],
}

mod hex {
    pub fn serialize<S: serde::Serializer>(bytes: &[u8; 2], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 2], D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }
}

fn main() {}
