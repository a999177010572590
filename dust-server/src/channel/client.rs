//! Who is at the other end of a socket.

use std::sync::Arc;

use dust_transport::channel::{Codec, Refusal};
use dust_transport::model::DeviceId;

use crate::control::{Scope, Token};
use crate::limit::Bucket;
use crate::server::Shared;

/// What a request came to, or why it was not granted.
pub(super) type Answered<T> = Result<T, Box<Refusal>>;

/// A refusal that is its reason.
pub(super) fn refusal(reason: &str) -> Box<Refusal> {
    Box::new(Refusal::new(reason))
}

/// A client as it connected.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) token: Arc<Token>,
    pub(crate) device: DeviceId,
    pub(crate) codec: Codec,
}

impl Client {
    /// Whether the token has a scope.
    pub(super) fn require(&self, scope: Scope) -> Answered<()> {
        if self.token.has(scope) {
            return Ok(());
        }
        Err(Box::new(Refusal {
            scope: Some(scope.as_str().to_owned()),
            message: Some(format!("Token is missing {} scope", scope.as_str())),
            ..Refusal::new("missing_scope")
        }))
    }

    /// Counts a write, together with those over HTTP.
    pub(super) fn count_write(&self) -> Answered<()> {
        let now_ms = self.shared.config.clock.now_ms();
        match self.shared.limiter.count(self.token.id, Bucket::Write, now_ms) {
            Some(verdict) if verdict.remaining.is_none() => Err(Box::new(Refusal {
                retry_after_ms: Some(verdict.reset_ms),
                ..Refusal::new("rate_limited")
            })),
            _ => Ok(()),
        }
    }
}
