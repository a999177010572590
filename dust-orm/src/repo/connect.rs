//! Repos over remote stores.

use std::sync::Arc;

use dust_transport::http::Http;
#[cfg(feature = "sync")]
use dust_transport::sync::Sync;

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

    /// A Repo over a store that is followed over a WebSocket: reads come from a replica in memory, and subscriptions are
    /// live. It is there once the replica is whole, which with a [`Config::sync_file`] it may be at once.
    ///
    /// The connection is opened again whenever it breaks, and closes when the last clone of the Repo is gone. A server that
    /// is not there yet is waited for. For more than a [`Config`] says, such as what becomes of writes while there is no
    /// connection, make a `dust_transport::sync::Sync` and give it to [`Repo::new`].
    ///
    /// # Errors
    /// As [`http`](Self::http); `Unauthorized` for a token that the server refuses, `NotImplemented` for a store that is not
    /// there. Of a file: `Locked`, `Format`, `Corrupt`, `Storage`.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    ///
    /// # Example
    /// ```no_run
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use futures_util::StreamExt as _;
    /// let repo = Repo::sync(Config::new("acme/reading", std::env::var("DUST_TOKEN")?)).await?;
    /// let mut changes = repo.subscribe::<Link>().await?;
    /// while let Some(change) = changes.next().await {
    ///     println!("{:?}", change?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "sync")]
    pub async fn sync(config: Config) -> Result<Self, Error> {
        let sync = Sync::connect(config.into_sync_options()).await?;
        Ok(Self::new(Arc::new(sync)))
    }

    /// A Repo over whatever reaches the store: a synced store that this process already has, with the feature `sync`, or
    /// else HTTP. [`transport`](Self::transport) tells.
    ///
    /// # Errors
    /// As [`http`](Self::http).
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// use dust_orm::Config;
    /// let repo = Repo::pick(Config::new("acme/reading", "dust_tok_secret"))?;
    /// assert_eq!(repo.transport().name(), "http");
    /// # Ok::<(), dust_orm::Error>(())
    /// ```
    pub fn pick(config: Config) -> Result<Self, Error> {
        let options = config.into_options();
        #[cfg(feature = "sync")]
        if let Some(sync) = Sync::running(&options) {
            return Ok(Self::new(Arc::new(sync)));
        }
        Ok(Self::new(Arc::new(Http::new(options)?)))
    }

    /// A Repo over the store that the environment names: `DUST_STORE`, `DUST_TOKEN` and, for a server other than the
    /// hosted one, `DUST_BASE_URL`. It is [`pick`](Self::pick)ed: a synced store that this process already has, or HTTP.
    ///
    /// # Errors
    /// `InvalidParams`, naming the variable that is missing or empty; otherwise as [`http`](Self::http).
    ///
    /// # Example
    /// ```no_run
    /// # use dust_orm::prelude::*;
    /// let repo = Repo::from_env()?;
    /// println!("over {}", repo.transport().name());
    /// # Ok::<(), dust_orm::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::pick(Config::from_env()?)
    }
}
