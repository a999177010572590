//! A module that denies what careful crates deny.

#![deny(missing_docs, unreachable_pub, dead_code, unused, deprecated, private_interfaces)]
#![deny(rust_2018_idioms, unused_qualifications, clippy::all, clippy::pedantic)]

use dust_orm::DustSchema;
use serde::{Deserialize, Serialize};

/// Not for others.
#[derive(Default, Serialize, Deserialize)]
struct Secret(String);

/// Still read.
#[deprecated = "use a newer one"]
#[derive(Serialize, Deserialize)]
pub(super) struct Old;

/// A record whose handles nobody uses.
#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
pub(super) struct Link {
    /// Its name.
    pub(super) slug: String,
    #[dust(skip)]
    secret: Secret,
    #[dust(default = "usual")]
    stars: u32,
    // Serde's derives disturb the lint for a field that they read.
    #[serde(skip)]
    #[expect(deprecated, reason = "the field is as old as its type")]
    old: Option<Old>,
}

fn usual() -> u32 {
    3
}

#[test]
fn nothing_is_denied() {
    let link = Link {
        slug: "a".into(),
        secret: Secret::default(),
        stars: usual(),
        old: None,
    };
    assert!(link.old.is_none());
    assert_eq!((link.slug.as_str(), link.secret.0.as_str(), link.stars), ("a", "", 3));
    assert_eq!(super::wire_names::<Link>(), ["slug", "secret", "stars", "old"]);
}
