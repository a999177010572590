//! What a server does beyond the wire of the original: asked once, and kept.

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Method;
use tokio::sync::Mutex;

use super::Http;
use super::body::{CapabilitiesBody, read};
use super::exchange::{Answer, Request};
use super::option;
use crate::error::{Error, ErrorKind};
use crate::model::{Extension, Extensions};

/// How long a server is waited for that is asked for its extensions.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a server is asked that does not answer. Then it is taken for one without extensions.
const ASKED_MAX: u32 = 3;

/// What is known of a server's extensions.
#[derive(Debug)]
pub(super) struct Known {
    extensions: OnceLock<Extensions>,
    /// How often the server has been asked in vain. Held while it is asked, so that others wait for the same answer.
    failed: Mutex<u32>,
}

impl Known {
    pub(super) fn new(discovery: option::Discovery) -> Self {
        let extensions = match discovery {
            option::Discovery::Ask => OnceLock::new(),
            option::Discovery::Never => OnceLock::from(Extensions::default()),
            option::Discovery::Assume => OnceLock::from(Extensions::ALL),
        };
        Self {
            extensions,
            failed: Mutex::new(0),
        }
    }

    /// Those that are known so far.
    pub(super) fn extensions(&self) -> Extensions {
        self.extensions.get().copied().unwrap_or_default()
    }
}

impl Http {
    /// The extensions of the server, which is asked if that has not been done.
    pub(super) async fn extensions(&self) -> Extensions {
        let known = &self.inner.known;
        if let Some(extensions) = known.extensions.get() {
            return *extensions;
        }
        let mut failed = known.failed.lock().await;
        if let Some(extensions) = known.extensions.get() {
            return *extensions;
        }
        let found = self.ask_for_extensions().await;
        *failed += 1;
        match found {
            Some(extensions) => *known.extensions.get_or_init(|| extensions),
            None if *failed >= ASKED_MAX => *known.extensions.get_or_init(Extensions::default),
            None => Extensions::default(),
        }
    }

    /// Asks once; `None` if another attempt may tell more.
    async fn ask_for_extensions(&self) -> Option<Extensions> {
        let url = self.inner.address.capabilities().ok()?;
        let asked = self
            .inner
            .exchange
            .ask(&Request::read(Method::GET, url), PATIENCE)
            .await;
        let found = match asked {
            Ok(answer) => told(&answer),
            Err(error) if matches!(error.kind(), ErrorKind::Network | ErrorKind::Timeout) => None,
            Err(error) => Some(Err(error)),
        };
        match found {
            Some(Ok(extensions)) => {
                tracing::debug!(%extensions, "the server tells its extensions");
                Some(extensions)
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "the server tells no extensions, and none are used");
                Some(Extensions::default())
            }
            None => {
                tracing::debug!("the server could not be asked for its extensions");
                None
            }
        }
    }
}

/// What an answer says; `None` if another attempt may tell more.
fn told(answer: &Answer) -> Option<Result<Extensions, Error>> {
    match answer.status {
        200 => Some(read::<CapabilitiesBody>(&answer.body).map(|body| {
            // A newer server may have more than is known here.
            body.extensions
                .iter()
                .filter_map(|name| Extension::parse(name))
                .collect()
        })),
        429 | 500..=599 => None,
        // The servers before there were extensions have no such route.
        _ => Some(Ok(Extensions::default())),
    }
}
