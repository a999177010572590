//! [`Config`]: which remote store a program uses, and how.

#[cfg(feature = "sync")]
use std::path::PathBuf;
use std::time::Duration;

use dust_transport::http::{Discovery, HttpOptions, Retry};
#[cfg(feature = "sync")]
use dust_transport::sync::SyncOptions;

use crate::error::{Error, ErrorKind};

/// A store of the hosted service, or of another server, and how to reach it.
///
/// # Example
/// ```
/// use std::time::Duration;
/// use dust_orm::Config;
/// use dust_orm::prelude::*;
///
/// let config = Config::new("acme/reading", "dust_tok_secret")
///     .base_url("http://127.0.0.1:7755")
///     .response_timeout(Duration::from_secs(5))
///     .attempts_max(2);
/// assert!(!format!("{config:?}").contains("secret"));
/// let repo = Repo::http(config)?;
/// assert_eq!(repo.transport().name(), "http");
/// # Ok::<(), dust_orm::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a config is used by `Repo::http`"]
pub struct Config {
    options: HttpOptions,
    #[cfg(feature = "sync")]
    sync_file: Option<PathBuf>,
}

impl Config {
    /// The hosted service's address, which is used where none is named.
    pub const BASE_URL: &'static str = HttpOptions::BASE_URL;

    /// The variable that names the store, as `org/name`.
    pub const STORE_VARIABLE: &'static str = "DUST_STORE";

    /// The variable that holds the token.
    pub const TOKEN_VARIABLE: &'static str = "DUST_TOKEN";

    /// The variable that names a server other than the hosted one.
    pub const BASE_URL_VARIABLE: &'static str = "DUST_BASE_URL";

    /// The variable that names the file of a synced store, see [`sync_file`](Self::sync_file).
    #[cfg(feature = "sync")]
    pub const SYNC_FILE_VARIABLE: &'static str = "DUST_SYNC_FILE";

    /// The store `org/name` of the hosted service, with a token that may use it.
    pub fn new(store: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            options: HttpOptions::new(store, token),
            #[cfg(feature = "sync")]
            sync_file: None,
        }
    }

    /// Reads `DUST_STORE`, `DUST_TOKEN` and, if they are there, `DUST_BASE_URL` and, with the feature `sync`,
    /// `DUST_SYNC_FILE` from the environment.
    ///
    /// # Errors
    /// `InvalidParams`, naming the variable that is missing, empty or no text.
    ///
    /// # Example
    /// ```
    /// use dust_orm::Config;
    /// if let Err(error) = Config::from_env() {
    ///     assert!(error.to_string().contains("DUST_"));
    /// }
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// Reads the same variables from elsewhere, such as a file of settings.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    ///
    /// # Example
    /// ```
    /// use dust_orm::Config;
    /// let settings = [("DUST_STORE", "acme/reading"), ("DUST_TOKEN", "dust_tok_secret")];
    /// let find = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
    /// assert!(Config::from_variables(find).is_ok());
    ///
    /// let error = Config::from_variables(|_| None).unwrap_err();
    /// assert_eq!(error.to_string(), "DUST_STORE is not set");
    /// ```
    pub fn from_variables(find: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let read = |name: &str| match find(name) {
            Some(value) if value.trim().is_empty() => Err(invalid(format!("{name} is empty"))),
            Some(value) if value.contains('\u{fffd}') => Err(invalid(format!("{name} is no text"))),
            Some(value) => Ok(Some(value.trim().to_owned())),
            None => Ok(None),
        };
        let required = |name: &str| read(name)?.ok_or_else(|| invalid(format!("{name} is not set")));
        let config = Self::new(required(Self::STORE_VARIABLE)?, required(Self::TOKEN_VARIABLE)?);
        let config = match read(Self::BASE_URL_VARIABLE)? {
            Some(base_url) => config.base_url(base_url),
            None => config,
        };
        #[cfg(feature = "sync")]
        let config = match read(Self::SYNC_FILE_VARIABLE)? {
            Some(path) => config.sync_file(path),
            None => config,
        };
        Ok(config)
    }

    /// The same on another server: an `http` or `https` address.
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.options = self.options.base_url(base_url);
        self
    }

    /// The same under another `User-Agent`.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.options = self.options.user_agent(user_agent);
        self
    }

    /// The same with so much time for a connection to open, names and TLS included; 30 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.connect_timeout(timeout);
        self
    }

    /// The same with so much time for one attempt, from the moment that its connection is open to the last byte of the answer;
    /// 15 s by default.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.options = self.options.response_timeout(timeout);
        self
    }

    /// The same with so many attempts, in all, of what may be repeated; four by default.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.options = self.options.retry(Retry::new().attempts_max(attempts));
        self
    }

    /// The same without asking the server for extensions, and without using any: the wire of the hosted service.
    pub fn without_extensions(mut self) -> Self {
        self.options = self.options.discovery(Discovery::Never);
        self
    }

    /// The same trusting the certificates of a PEM text, too: those of an authority of one's own, or of the server itself.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.options = self.options.root_certificates(pem);
        self
    }

    /// The same on a server that commits an op id once, which the hosted one does not; off by default. A server of this house
    /// tells by itself.
    ///
    /// Writes with an op id are then repeated like reads. Where the server does not do so, a repetition writes twice.
    pub fn op_ids_are_deduplicated(mut self, deduplicated: bool) -> Self {
        self.options = self.options.op_ids_are_deduplicated(deduplicated);
        self
    }

    /// The same for [`Repo::sync`](crate::Repo::sync) with a file in which the replica and the writes under way survive a restart
    /// of the program; see `SyncOptions::file` of `dust_transport`. Nothing else reads it.
    ///
    /// # Example
    /// ```
    /// use dust_orm::Config;
    /// let config = Config::new("acme/reading", "dust_tok_secret").sync_file("reading.dust");
    /// assert!(format!("{config:?}").contains("reading.dust"));
    /// ```
    #[cfg(feature = "sync")]
    pub fn sync_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.sync_file = Some(path.into());
        self
    }

    #[cfg(feature = "sync")]
    pub(crate) fn into_sync_options(self) -> SyncOptions {
        let options = SyncOptions::from(self.options);
        match self.sync_file {
            Some(path) => options.file(path),
            None => options,
        }
    }

    pub(crate) fn into_options(self) -> HttpOptions {
        self.options
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidParams, message)
}
