//! The Dust server: the stores of a folder over the wire that Dust clients speak: HTTP, and WebSocket for
//! what is live.
//!
//! ```
//! use dust_server::{Config, Server, control::NewToken};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let folder = temporary.path().join("data");
//! let server = Server::open(Config::new(folder).with_listen("127.0.0.1:0".parse()?)).await?;
//! let control = server.control();
//! control.create_org("acme").await?;
//! let store = control.create_store("acme", "site", None).await?;
//! let (token, secret) = control.create_token(NewToken::full("acme", "laptop")).await?;
//! assert!(secret.starts_with("dust_tok_") && token.may_access(store.id));
//!
//! let listening = server.listen().await?;
//! println!("http://{}/api/stores/acme/site/entries", listening.local_addr());
//! listening.serve_until(async {}).await?;
//! # Ok(())
//! # }
//! ```
//!
//! It holds no rule of the data: what a write does is decided in `dust-store`. It authorises, translates and calls. It has no
//! users, sessions or plans, and speaks plain HTTP; TLS belongs to a proxy in front of it.
//!
//! | module | holds |
//! |---|---|
//! | `config` | where the data is and where to listen, and the limits |
//! | [`control`] | organisations, stores, tokens with scopes and store grants |
//! | `server` | the folder, the listener, the shutdown |
//! | `channel` | the channels of stores over WebSocket |
//! | `notice` | word of changes that open sockets rest on |
//! | `http` | routes: requests into calls of a [`Transport`](dust_transport::transport::Transport), results into answers |
//! | `listener` | connections: taken in, bounded in time, and ended |
//! | `limit` | requests per token and minute |
//! | `metrics` | counts of requests for Prometheus |
//! | `webhook` | receivers of what is written |

mod channel;
mod config;
pub mod control;
mod http;
mod limit;
mod listener;
mod metrics;
mod notice;
mod server;
mod webhook;

pub use channel::ChannelOptions;
pub use config::{Backoff, Config, RateLimits, WebhookOptions};
/// Points in time as the control data has them.
pub use dust_transport::model::Timestamp;
pub use server::{Listening, Server, ServerError};
