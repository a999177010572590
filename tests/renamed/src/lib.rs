//! A crate that knows `dust-orm` under another name, directly and through a module of its own.
#![forbid(missing_docs, unreachable_pub, dead_code, private_interfaces)]
#![deny(unused)]

use orm::DustSchema;
use serde::{Deserialize, Serialize};

mod reexport {
    pub(crate) use orm as dust;
}

#[derive(Debug, Serialize, Deserialize)]
struct Secret(String);

/// Derived under the name of the dependency.
#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links", crate = "orm")]
pub struct Link {
    slug: String,
    title: String,
    secret: Option<Secret>,
}

/// Derived through a path inside the crate.
#[derive(Debug, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "pages", crate = "crate::reexport::dust")]
pub struct Page {
    /// The name of the page.
    pub slug: String,
}
