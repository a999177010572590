//! Repos over remote stores.

use std::sync::Arc;

use dust_transport::http::Http;

use super::Repo;
use crate::config::Config;
use crate::error::Error;

impl Repo {
    /// A Repo over a store that is reached over HTTP; nothing is sent yet.
    ///
    /// A server of this house is asked for its extensions before the first write that they serve, and then compares whole
    /// records, as an embedded store does. The hosted service has none. There, what the wire cannot do is refused with
    /// `NotSupported`: `if_match` and `if_absent` where a whole record would have to be compared. `if_match` of a
    /// [`Version`](crate::Version) compares, on a flat record, the fields that the update writes and that were there; it does
    /// not see that another field changed or appeared. Updates that set none of them, records in map storage, deletes, and
    /// bare revisions are refused with a condition. Subscriptions are `NotSupported` over HTTP.
    ///
    /// # Errors
    /// `InvalidParams` for a store that is not `org/name`, an address that is none, a token that no header can hold.
    ///
    /// # Example
    /// ```no_run
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let repo = Repo::http(Config::new("acme/reading", std::env::var("DUST_TOKEN")?))?;
    /// for link in repo.all::<Link>().await? {
    ///     println!("{} {}", link.slug, link.title);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn http(config: Config) -> Result<Self, Error> {
        Ok(Self::new(Arc::new(Http::new(config.into_options())?)))
    }

    /// The same, asking the server for its extensions at once, so that the capabilities of
    /// [`transport`](Self::transport) are the server's from the start. A server that has none, or does not answer in 5 s, is
    /// no error.
    ///
    /// # Errors
    /// As [`http`](Self::http).
    ///
    /// # Cancel safety
    /// Dropping the future makes no Repo.
    ///
    /// # Example
    /// ```no_run
    /// # use dust_orm::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = Config::new("local/main", std::env::var("DUST_TOKEN")?).base_url("http://127.0.0.1:7755");
    /// let repo = Repo::http_connected(config).await?;
    /// assert!(repo.transport().capabilities().subtree_preconditions);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn http_connected(config: Config) -> Result<Self, Error> {
        Ok(Self::new(Arc::new(Http::connect(config.into_options()).await?)))
    }

    /// A Repo over the store that the environment names: `DUST_STORE`, `DUST_TOKEN` and, for a server other than the
    /// hosted one, `DUST_BASE_URL`. [`transport`](Self::transport) tells what reaches it, which is HTTP.
    ///
    /// # Errors
    /// `InvalidParams`, naming the variable that is missing or empty; otherwise as [`http`](Self::http).
    ///
    /// # Example
    /// ```no_run
    /// # use dust_orm::prelude::*;
    /// let repo = Repo::from_env()?;
    /// assert_eq!(repo.transport().name(), "http");
    /// # Ok::<(), dust_orm::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::http(Config::from_env()?)
    }
}
