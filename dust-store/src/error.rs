//! Where failures of the layer and refusals of the store become [`Error`]s of the transport.

use std::fmt;
use std::sync::Arc;

use dust_layer::{DirectoryError, Error as LayerError};
use dust_transport::error::{ConflictAt, Error, ErrorKind, Outcome};
use dust_transport::model::{Op, Path, PathError, Seq, ValueError};
use dust_transport::query::IndexDefinition;

use crate::codec::DecodeError;

/// Why a batch stops being evaluated.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The batch is refused; the others of its group go on.
    Refused(Refusal),
    /// The engine failed, and with it the group.
    Engine(LayerError),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<LayerError> for Halt {
    fn from(error: LayerError) -> Self {
        Self::Engine(error)
    }
}

/// Why an op is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    error: Error,
    /// The path that is not as expected, if it is not the op's own, and the revision found there.
    found: Option<(Path, Option<Seq>)>,
    /// The record that all ops together may not make so.
    record: Option<Path>,
}

impl Refusal {
    /// A record that would have the values of another in a unique index; with the leaf of the other and its revision.
    pub(crate) fn not_unique(index: &IndexDefinition, record: Path, other: &Path, leaf: Path, current: Seq) -> Self {
        let detail = format!("`{record}` would have the values of `{other}` in the index of {index}");
        Self {
            error: Error::new(ErrorKind::Conflict, "not_unique", detail),
            found: Some((leaf, Some(current))),
            record: Some(record),
        }
    }

    /// The error of a batch of which no single op is refused: with the last that touches the record.
    pub(crate) fn of_batch(self, ops: &[Op]) -> Error {
        let Some(record) = &self.record else {
            return self.error;
        };
        let touches = |op: &Op| op.path.starts_with(record) || record.starts_with(&op.path);
        match ops.iter().rposition(touches).and_then(|at| Some((at, ops.get(at)?))) {
            Some((at, op)) => self.at(at, &op.path),
            None => self.error,
        }
    }

    /// A call that has to be mended.
    pub(crate) fn invalid(code: &'static str, detail: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Error::new(ErrorKind::InvalidParams, code, detail).into()
    }

    /// A precondition that does not hold.
    pub(crate) fn conflict(code: &'static str, path: &Path, current: Option<Seq>) -> Self {
        let detail = match code {
            "exists" => "a leaf is at the path already",
            _ => "the store has another revision than expected",
        };
        Self::found(Error::new(ErrorKind::Conflict, code, detail), path, current)
    }

    /// Something that is not as expected at a path.
    pub(crate) fn found(error: Error, path: &Path, current: Option<Seq>) -> Self {
        Self {
            error,
            found: Some((path.clone(), current)),
            record: None,
        }
    }

    /// A file beyond the limit of the options.
    pub(crate) fn file_too_large(bytes: usize, bytes_max: usize) -> Self {
        Self::too_large("a file", bytes, bytes_max)
    }

    /// A question about what the log no longer tells.
    pub(crate) fn compacted(compacted: u64) -> Self {
        let detail = format!("the log begins after op {compacted}");
        Self::invalid("compacted", detail)
    }

    /// Something larger than what the engine takes.
    pub(crate) fn too_large(what: &str, bytes: usize, bytes_max: usize) -> Self {
        let detail = format!("{what} of {bytes} bytes exceeds the limit of {bytes_max}");
        Self::invalid("payload_too_large", detail)
    }

    /// Stored bytes that do not decode.
    pub(crate) fn corrupt(what: &'static str, source: DecodeError) -> Self {
        corrupt(what).with_source(source).into()
    }

    /// A stored leaf that does not decode; for `map_err`.
    pub(crate) fn leaf(source: DecodeError) -> Self {
        Self::corrupt("a leaf does not decode", source)
    }

    /// A key among the leaves that is none.
    pub(crate) fn foreign_key() -> Self {
        corrupt("a key among the leaves is not that of a leaf").into()
    }

    /// The error of the batch: with the op that is refused.
    pub(crate) fn at(self, op_index: usize, path: &Path) -> Error {
        let (path, current) = self.found.unwrap_or_else(|| (path.clone(), None));
        self.error.with_conflict(ConflictAt {
            op_index,
            path,
            current,
        })
    }

    /// The error without an op.
    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            error,
            found: None,
            record: None,
        }
    }
}

impl From<PathError> for Refusal {
    fn from(error: PathError) -> Self {
        Error::from(error).into()
    }
}

impl From<ValueError> for Refusal {
    fn from(error: ValueError) -> Self {
        Error::from(error).into()
    }
}

/// What is stored contradicts itself.
pub(crate) fn corrupt(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Corrupt, "corrupt", what)
}

/// The error of a read, or of what comes before a commit: nothing was written.
pub(crate) fn of_read(error: LayerError) -> Error {
    translate(&Arc::new(error)).with_outcome(Outcome::NotApplied)
}

/// The error of a commit, for each of those who wait for it.
pub(crate) fn of_commit(error: &Arc<LayerError>) -> Error {
    translate(error)
}

/// The error of a subscription, for each of those who follow.
pub(crate) fn of_following(error: &Arc<LayerError>) -> Error {
    translate(error).with_outcome(Outcome::NotApplied)
}

/// Chooses kind, code and outcome for a failure of the layer; the only place that does.
fn translate(error: &Arc<LayerError>) -> Error {
    let (kind, outcome) = match &**error {
        // The sequencer repeats conflicts; one that arrives here has been repeated in vain. An engine refuses with
        // `Poisoned` what it has not begun.
        LayerError::Conflict
        | LayerError::TransactionTooOld
        | LayerError::Poisoned { .. }
        | LayerError::AccessedUnreadable
        | LayerError::InvalidOperation(_)
        | LayerError::Used
        | LayerError::Cluster {
            maybe_committed: false, ..
        }
        | LayerError::Directory(
            DirectoryError::NotFound
            | DirectoryError::Exists
            | DirectoryError::ParentNotFound
            | DirectoryError::Root
            | DirectoryError::IntoItself
            | DirectoryError::PrefixInUse,
        ) => (ErrorKind::Storage, Outcome::NotApplied),
        LayerError::KeyTooLong { .. } | LayerError::ValueTooLarge { .. } | LayerError::TransactionTooLarge { .. } => {
            (ErrorKind::InvalidParams, Outcome::NotApplied)
        }
        LayerError::Corrupt { .. } | LayerError::Tuple(_) => (ErrorKind::Corrupt, Outcome::NotApplied),
        LayerError::Locked { .. } => (ErrorKind::Locked, Outcome::NotApplied),
        LayerError::Format { .. }
        | LayerError::Foreign { .. }
        | LayerError::Directory(
            DirectoryError::Version { .. } | DirectoryError::Partition | DirectoryError::LayerMismatch,
        ) => (ErrorKind::Format, Outcome::NotApplied),
        LayerError::Closed => (ErrorKind::Closed, Outcome::NotApplied),
        // `CommitUnknown`, a cluster's doubt and `Io`; a failure that this version does not know may have happened at any moment, too.
        _ => (ErrorKind::Storage, Outcome::Unknown),
    };
    let code = if kind == ErrorKind::InvalidParams {
        "payload_too_large"
    } else {
        kind.as_str()
    };
    let translated = Error::new(kind, code, error.to_string())
        .with_outcome(outcome)
        .with_retryable(error.is_retryable());
    if std::error::Error::source(&**error).is_some() {
        return translated.with_source(Cause(Arc::clone(error)));
    }
    translated
}

/// What is beneath a failure of the layer, whose own words the translated error has already.
#[derive(Debug)]
struct Cause(Arc<LayerError>);

impl Cause {
    fn cause(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chain as a reporter prints it.
    fn report(error: &Error) -> String {
        let mut report = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            report = format!("{report}: {cause}");
            source = cause.source();
        }
        report
    }

    #[test]
    fn what_a_cluster_refuses_for_certain_was_not_applied() {
        for (maybe_committed, outcome) in [(false, Outcome::NotApplied), (true, Outcome::Unknown)] {
            let refused = LayerError::Cluster {
                code: 2101,
                message: "transaction exceeds byte limit",
                retryable: false,
                maybe_committed,
            };
            assert_eq!(of_commit(&Arc::new(refused)).outcome(), outcome);
        }
        assert_eq!(
            of_commit(&Arc::new(LayerError::CommitUnknown)).outcome(),
            Outcome::Unknown
        );
    }

    #[test]
    fn a_chain_says_everything_once() {
        let locked = LayerError::Locked {
            folder: std::path::Path::new("data").into(),
        };
        assert_eq!(report(&of_read(locked)), "locked: folder data is already open");
        let io = LayerError::Io {
            doing: "open the data file",
            source: std::io::Error::other("no such device"),
        };
        let text = report(&of_read(io));
        assert_eq!(text.matches("no such device").count(), 1, "{text}");
    }
}
