//! What the client library's error codes mean here. The numbers are those of its documentation.

use ::foundationdb::FdbError;

use crate::error::Error;

const TRANSACTION_TOO_OLD: i32 = 1007;
const USED_DURING_COMMIT: i32 = 2017;
const NOT_COMMITTED: i32 = 1020;
const COMMIT_UNKNOWN: i32 = 1021;
const TRANSACTION_CANCELLED: i32 = 1025;
const TRANSACTION_TIMED_OUT: i32 = 1031;
const ACCESSED_UNREADABLE: i32 = 1036;
const CLUSTER_VERSION_CHANGED: i32 = 1039;
const OPERATION_CANCELLED: i32 = 1101;
const TRANSACTION_TOO_LARGE: i32 = 2101;

/// The codes of what the client itself refuses: a limit, an option, a use that is not allowed. They end below 3000.
const CLIENT_REFUSES: std::ops::Range<i32> = 2000..3000;

/// An error of anything but a commit: nothing was committed.
pub(super) fn refused(error: FdbError) -> Error {
    told(error, false)
}

/// An error of a commit that had `bytes` to write.
pub(super) fn uncommitted(error: FdbError, bytes: usize, bytes_max: usize) -> Error {
    match error.code() {
        TRANSACTION_TOO_LARGE => Error::TransactionTooLarge { bytes, bytes_max },
        // The timeout and the cancellation may come while the cluster commits.
        COMMIT_UNKNOWN
        | CLUSTER_VERSION_CHANGED
        | TRANSACTION_TIMED_OUT
        | TRANSACTION_CANCELLED
        | OPERATION_CANCELLED => Error::CommitUnknown,
        _ if error.is_maybe_committed() => Error::CommitUnknown,
        code => told(error, is_in_doubt(code, error.is_retryable_not_committed())),
    }
}

/// Whether a commit that ended with this code may have been applied, if the library does not say that it may.
///
/// What it says of the others is which may be repeated without doubt. Of the rest, what the client refuses never reached
/// the cluster; what is left is a failure of the cluster that nobody can be sure of.
fn is_in_doubt(code: i32, is_retryable_not_committed: bool) -> bool {
    !(is_retryable_not_committed || CLIENT_REFUSES.contains(&code))
}

fn told(error: FdbError, maybe_committed: bool) -> Error {
    match error.code() {
        NOT_COMMITTED => Error::Conflict,
        TRANSACTION_TOO_OLD => Error::TransactionTooOld,
        ACCESSED_UNREADABLE => Error::AccessedUnreadable,
        USED_DURING_COMMIT => Error::Used,
        TRANSACTION_CANCELLED | OPERATION_CANCELLED => Error::Closed,
        code => Error::Cluster {
            code,
            message: error.message(),
            retryable: error.is_retryable(),
            maybe_committed,
        },
    }
}
