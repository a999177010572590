//! A subscription to committed ops.

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;

use crate::error::Error;
use crate::model::{Event, Path, Pattern, Seq};

/// A stream of [`Signal`]s; an `Err` item is its last.
///
/// ```
/// use dust_transport::error::Error;
/// use dust_transport::transport::{EventStream, Signal};
/// use futures_util::StreamExt as _;
///
/// async fn print(mut events: EventStream) -> Result<(), Error> {
///     while let Some(signal) = events.next().await {
///         match signal? {
///             Signal::Event(event) => println!("{} {} {}", event.seq, event.kind, event.path),
///             Signal::CaughtUp { through } => println!("live from {through} on"),
///             Signal::Resync { .. } => println!("read everything again"),
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// # let _ = print;
/// ```
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Signal, Error>> + Send>>;

/// What a subscription covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Ops whose own path matches the pattern.
    Pattern(Pattern),
    /// Ops whose path is at, below or above this path: everything that can change what is at or below it.
    Touching(Path),
}

/// Where a subscription starts.
///
/// ```
/// use dust_transport::model::Seq;
/// use dust_transport::transport::{Start, Subscribe};
///
/// let resumed = Subscribe::touching("links".parse()?).start(Start::After(Seq(41)));
/// assert_eq!(resumed.start, Start::After(Seq(41)));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first op committed after the subscription is open.
    Now,
    /// With the first op after this sequence number; `Seq(0)` is the whole log.
    After(Seq),
}

/// A subscription to open.
///
/// ```
/// use dust_transport::model::{Pattern, Seq};
/// use dust_transport::transport::{Start, Subscribe};
/// let from_the_first = Subscribe::pattern(Pattern::parse("links/**")?).start(Start::After(Seq(0)));
/// assert_eq!(from_the_first.start, Start::After(Seq(0)));
/// # Ok::<(), dust_transport::model::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// What it covers.
    pub interest: Interest,
    /// Where it starts.
    pub start: Start,
}

/// One item of a subscription.
///
/// ```
/// use dust_transport::model::Seq;
/// use dust_transport::transport::Signal;
///
/// let describe = |signal: Signal| match signal {
///     Signal::Event(event) => format!("{} {}", event.kind, event.path),
///     Signal::CaughtUp { through } => format!("live after {through}"),
///     Signal::Resync { through } => format!("read anew, then go on after {through}"),
///     _ => "of a later version".to_owned(),
/// };
/// assert_eq!(describe(Signal::CaughtUp { through: Seq(3) }), "live after 3");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// A committed op.
    Event(Arc<Event>),
    /// Everything up to `through` has been delivered; what follows is live. Sent once, before the first live event;
    /// with `Start::Now` at once.
    CaughtUp {
        /// The last sequence number of the store at that moment.
        through: Seq,
    },
    /// The log no longer reaches back to where the subscription would continue: read the current state anew.
    /// The stream goes on after `through`.
    Resync {
        /// Events go on after this sequence number.
        through: Seq,
    },
}

impl Interest {
    /// Whether an op at this path is covered.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// use dust_transport::transport::Interest;
    /// let record = Interest::Touching(Path::parse("links/dust")?);
    /// assert!(record.covers(&Path::parse("links")?));
    /// assert!(record.covers(&Path::parse("links/dust/title")?));
    /// assert!(!record.covers(&Path::parse("links/rust")?));
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(path),
            Self::Touching(at) => path.starts_with(at) || path.is_ancestor_of(at),
        }
    }
}

impl Subscribe {
    /// Covers ops whose own path matches the pattern, from now on.
    #[must_use]
    pub fn pattern(pattern: Pattern) -> Self {
        Self {
            interest: Interest::Pattern(pattern),
            start: Start::Now,
        }
    }

    /// Covers ops at, below and above the path, from now on.
    #[must_use]
    pub fn touching(path: Path) -> Self {
        Self {
            interest: Interest::Touching(path),
            start: Start::Now,
        }
    }

    /// The same from this start.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }
}
