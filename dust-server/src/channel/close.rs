//! Why a socket ends, and what its client is told.

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Close {
    /// The client asked for it.
    Asked,
    /// The connection is gone, or its other side reads nothing any more.
    Gone,
    /// The client sent nothing for as long as it may.
    Idle,
    /// It is slower than the store, by more than what is kept for it. It may come back, and go on where it is.
    Slow,
    /// The token was revoked, or has ended.
    Unauthorized,
    /// The server stops.
    Restart,
    /// A message is larger than what is taken.
    TooLarge,
    /// A text message is not UTF-8.
    NotText,
    /// What was sent is not the WebSocket protocol.
    Protocol,
}

impl Close {
    /// The code that the client is sent; `None` if there is nothing to say.
    pub(super) fn code(self) -> Option<CloseCode> {
        match self {
            Self::Gone => None,
            Self::Asked => Some(CloseCode::Normal),
            Self::Idle | Self::Protocol => Some(CloseCode::Protocol),
            Self::Slow => Some(CloseCode::Again),
            Self::Unauthorized => Some(CloseCode::Policy),
            Self::Restart => Some(CloseCode::Restart),
            Self::TooLarge => Some(CloseCode::Size),
            Self::NotText => Some(CloseCode::Invalid),
        }
    }

    /// The reason that goes with the code.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Asked => "closed",
            Self::Gone => "gone",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Unauthorized => "unauthorized",
            Self::Restart => "restart",
            Self::TooLarge => "payload_too_large",
            Self::NotText => "not_utf8",
            Self::Protocol => "protocol_error",
        }
    }
}
