//! What a server is started with: flags, then the environment, then a file, then what is usual.

use std::error::Error;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use dust_server::{ChannelOptions, Config, RateLimits, WebhookOptions};
use serde::Deserialize;

/// The flags of `serve`; each may come from the environment instead.
#[derive(Debug, Default, Args)]
pub(crate) struct Flags {
    /// A TOML file with `data`, `engine`, `listen`, `body_bytes_max` and the tables `rate_limits`, `webhooks` and
    /// `channels`.
    #[arg(long, env = "DUST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of the data; it is made if it is missing.
    #[arg(long, env = "DUST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// What keeps the data: `disk`, which is the folder, or `fdb:FILE`, the FoundationDB cluster that FILE names.
    #[arg(long, env = "DUST_ENGINE", value_name = "ENGINE")]
    engine: Option<Engine>,
    /// The address to listen on, 127.0.0.1:7755 by default; port 0 takes a free one, which is printed.
    #[arg(long, env = "DUST_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Reads that a token may make in a minute, 1000 by default.
    #[arg(long, env = "DUST_READS_PER_MINUTE", value_name = "COUNT")]
    reads_per_minute: Option<u64>,
    /// Writes that a token may make in a minute, 100 by default.
    #[arg(long, env = "DUST_WRITES_PER_MINUTE", value_name = "COUNT")]
    writes_per_minute: Option<u64>,
    /// Limit no token. For development.
    #[arg(long, conflicts_with_all = ["reads_per_minute", "writes_per_minute"])]
    no_rate_limit: bool,
    /// Let webhooks go to this machine and to private networks. For development, or where every token is trusted.
    #[arg(long, env = "DUST_WEBHOOK_PRIVATE_ADDRESSES")]
    webhook_private_addresses: bool,
}

/// The file. A key that is not here is a mistake.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data: Option<PathBuf>,
    engine: Option<Engine>,
    listen: Option<SocketAddr>,
    body_bytes_max: Option<NonZeroUsize>,
    #[serde(default)]
    rate_limits: Limits,
    #[serde(default)]
    webhooks: Webhooks,
    #[serde(default)]
    channels: Channels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Channels {
    frame_bytes_max: Option<NonZeroUsize>,
    idle_timeout_seconds: Option<NonZeroU32>,
    queue_events_max: Option<NonZeroUsize>,
    queue_bytes_max: Option<NonZeroUsize>,
    snapshot_bytes_max: Option<NonZeroUsize>,
    origins: Option<Vec<String>>,
}

impl Channels {
    fn over(self, usual: ChannelOptions) -> ChannelOptions {
        let mut options = usual;
        let given = |bound: Option<NonZeroUsize>, usual| bound.map_or(usual, NonZeroUsize::get);
        options.frame_bytes_max = given(self.frame_bytes_max, options.frame_bytes_max);
        options.idle_timeout = self.idle_timeout_seconds.map_or(options.idle_timeout, |seconds| {
            Duration::from_secs(seconds.get().into())
        });
        options.queue_events_max = given(self.queue_events_max, options.queue_events_max);
        options.queue_bytes_max = given(self.queue_bytes_max, options.queue_bytes_max);
        options.snapshot_bytes_max = given(self.snapshot_bytes_max, options.snapshot_bytes_max);
        options.origins = self.origins.unwrap_or(options.origins);
        options
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Webhooks {
    private_addresses: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    off: Option<bool>,
    reads_per_minute: Option<u64>,
    writes_per_minute: Option<u64>,
}

/// What keeps the data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Engine {
    /// The folder.
    #[default]
    Disk,
    /// A cluster that many nodes share, and the file with its coordinators.
    FoundationDb(PathBuf),
}

impl FromStr for Engine {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        match text.split_once(':') {
            None if text == "disk" => Ok(Self::Disk),
            Some(("fdb", file)) if !file.is_empty() => Ok(Self::FoundationDb(file.into())),
            _ => Err(SettingsError::Engine(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Engine {
    type Error = SettingsError;

    fn try_from(text: String) -> Result<Self, SettingsError> {
        text.parse()
    }
}

/// Why a server has no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("{file:?} cannot be read")]
    Read {
        file: PathBuf,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Nothing says where the data is.
    #[error("the folder of the data is missing: --data DIR, DUST_DATA or `data` in the file")]
    NoData,
    /// The engine is none.
    #[error("{0:?} is no engine: it is `disk` or `fdb:FILE`")]
    Engine(String),
}

impl Flags {
    /// The configuration that the flags and the file make together.
    pub(crate) fn config(self) -> Result<(Engine, Config), SettingsError> {
        let file = match &self.config {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        self.over(file)
    }

    fn over(self, file: File) -> Result<(Engine, Config), SettingsError> {
        let engine = self.engine.or(file.engine).unwrap_or_default();
        let data = match (self.data.or(file.data), &engine) {
            (Some(data), _) => data,
            (None, Engine::Disk) => return Err(SettingsError::NoData),
            (None, Engine::FoundationDb(_)) => PathBuf::new(),
        };
        let usual = RateLimits::default();
        let limit = |flag: Option<u64>, file: Option<u64>, usual| flag.or(file).or(usual);
        let limits = RateLimits {
            reads_per_minute: limit(
                self.reads_per_minute,
                file.rate_limits.reads_per_minute,
                usual.reads_per_minute,
            ),
            writes_per_minute: limit(
                self.writes_per_minute,
                file.rate_limits.writes_per_minute,
                usual.writes_per_minute,
            ),
        };
        let is_limited = self.reads_per_minute.is_some() || self.writes_per_minute.is_some();
        let is_off = self.no_rate_limit || !is_limited && file.rate_limits.off == Some(true);
        let limits = if is_off { RateLimits::OFF } else { limits };
        let webhooks = WebhookOptions {
            private_addresses: self.webhook_private_addresses || file.webhooks.private_addresses == Some(true),
            ..WebhookOptions::default()
        };
        let mut config = Config::new(data).with_rate_limits(limits).with_webhooks(webhooks);
        if let Some(listen) = self.listen.or(file.listen) {
            config = config.with_listen(listen);
        }
        if let Some(bytes) = file.body_bytes_max {
            config = config.with_body_bytes_max(bytes.get());
        }
        let channels = file.channels.over(config.channels.clone());
        Ok((engine, config.with_channels(channels)))
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Read {
            file: path.to_owned(),
            source,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.into()))?;
        toml::from_str(&text).map_err(|error| failed(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> File {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_flag_counts_more_than_the_file_and_the_file_more_than_what_is_usual() {
        let text = "data = '/d'\nlisten = '127.0.0.1:1'\nbody_bytes_max = 9\n[rate_limits]\nwrites_per_minute = 7\n";
        let (engine, config) = Flags::default().over(file(text)).unwrap();
        assert_eq!(engine, Engine::Disk);
        assert_eq!(
            (config.data, config.listen.port(), config.body_bytes_max),
            ("/d".into(), 1, 9)
        );
        assert_eq!(config.rate_limits.reads_per_minute, Some(1000));
        assert_eq!(config.rate_limits.writes_per_minute, Some(7));
        let flags = Flags {
            data: Some("/e".into()),
            listen: Some("127.0.0.1:2".parse().unwrap()),
            writes_per_minute: Some(8),
            ..Flags::default()
        };
        let (_, config) = flags.over(file(text)).unwrap();
        assert_eq!((config.data, config.listen.port()), ("/e".into(), 2));
        assert_eq!(config.rate_limits.writes_per_minute, Some(8));
    }

    #[test]
    fn limits_are_off_only_when_asked() {
        let off = "data = '/d'\n[rate_limits]\noff = true\n";
        let limits = |flags: Flags, text| flags.over(file(text)).unwrap().1.rate_limits;
        assert_eq!(limits(Flags::default(), off), RateLimits::OFF);
        let limited = Flags {
            reads_per_minute: Some(5),
            ..Flags::default()
        };
        assert_eq!(limits(limited, off).reads_per_minute, Some(5));
        let asked = Flags {
            no_rate_limit: true,
            ..Flags::default()
        };
        assert_eq!(limits(asked, "data = '/d'"), RateLimits::OFF);
    }

    #[test]
    fn webhooks_go_to_private_addresses_where_it_is_asked_for() {
        let allowed = |flags: Flags, text: &str| flags.over(file(text)).unwrap().1.webhooks.private_addresses;
        let flag = || Flags {
            webhook_private_addresses: true,
            ..Flags::default()
        };
        assert!(!allowed(Flags::default(), "data = '/d'"));
        assert!(allowed(flag(), "data = '/d'"));
        assert!(allowed(
            Flags::default(),
            "data = '/d'\n[webhooks]\nprivate_addresses = true\n"
        ));
    }

    #[test]
    fn a_table_bounds_the_sockets() {
        let text = "data = '/d'\n[channels]\nidle_timeout_seconds = 5\norigins = ['dust.example']\n";
        let (_, config) = Flags::default().over(file(text)).unwrap();
        assert_eq!(config.channels.idle_timeout, Duration::from_secs(5));
        assert_eq!(config.channels.origins, ["dust.example"]);
        assert_eq!(config.channels.frame_bytes_max, 8_000_000);
    }

    #[test]
    fn what_is_unknown_or_missing_is_a_mistake() {
        for text in [
            "dta = '/d'",
            "data = '/d'\n[rate_limits]\nreads = 1\n",
            "listen = 'here'",
            "engine = 'fdb'",
            "engine = 'fdb:'",
            "engine = 'memory'",
            // With these no request or socket could do anything.
            "body_bytes_max = 0",
            "[channels]\nframe_bytes_max = 0",
            "[channels]\nidle_timeout_seconds = 0",
            "[channels]\nqueue_events_max = 0",
        ] {
            assert!(toml::from_str::<File>(text).is_err(), "{text}");
        }
        assert!(matches!(
            Flags::default().over(File::default()),
            Err(SettingsError::NoData)
        ));
        let (engine, _) = Flags::default().over(file("engine = 'fdb:/etc/fdb.cluster'")).unwrap();
        assert_eq!(engine, Engine::FoundationDb("/etc/fdb.cluster".into()));
    }
}
