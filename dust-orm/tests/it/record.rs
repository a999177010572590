//! The schemas of the Repo's tests.

use std::collections::BTreeMap;

use dust_orm::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "reading/links")]
pub(crate) struct Link {
    pub(crate) slug: String,
    #[dust(required)]
    #[validate(length(min = 1, max = 200))]
    pub(crate) title: String,
    #[dust(required)]
    #[validate(url)]
    pub(crate) url: String,
    pub(crate) note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "pages", storage = "map")]
pub(crate) struct Page {
    #[dust(slug)]
    pub(crate) id: String,
    #[dust(required)]
    pub(crate) title: String,
    #[serde(rename = "viewCount")]
    pub(crate) views: i64,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) draft: Option<bool>,
}

pub(crate) fn link(slug: &str) -> Link {
    Link {
        slug: slug.into(),
        title: format!("Title of {slug}"),
        url: "https://dustlayer.io".into(),
        note: None,
    }
}

pub(crate) fn page(id: &str) -> Page {
    Page {
        id: id.into(),
        title: format!("Page {id}"),
        views: 7,
        meta: BTreeMap::new(),
        draft: None,
    }
}
