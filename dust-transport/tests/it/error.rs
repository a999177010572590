//! Errors: what they say, and that every kind is explained.

use std::error::Error as _;
use std::time::Duration;

use dust_transport::error::{ConflictAt, Error, ErrorKind, Outcome};
use dust_transport::model::{Path, PathError, Pattern, Seq, Value};

/// Errors cross threads, and a transport is used as an object.
#[test]
fn errors_and_transports_are_shared() {
    fn shared<T: Send + Sync + 'static + ?Sized>() {}
    shared::<Error>();
    shared::<dyn dust_transport::transport::Transport>();
    assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
}

#[test]
fn kinds_decide_what_is_known() {
    for kind in ErrorKind::ALL {
        let error = Error::new(kind, kind.as_str(), "");
        assert_eq!(
            error.is_retryable(),
            matches!(kind, ErrorKind::Network | ErrorKind::RateLimited),
            "{kind}"
        );
        let unknown = matches!(
            kind,
            ErrorKind::Network | ErrorKind::Http | ErrorKind::Timeout | ErrorKind::Storage
        );
        assert_eq!(error.outcome() == Outcome::Unknown, unknown, "{kind}");
        assert_eq!(error.to_string(), kind.to_string());
    }
}

/// The documentation of each kind says whether to retry.
#[test]
fn every_kind_is_documented() {
    let source = include_str!("../../src/error.rs");
    let (_, body) = source.split_once("pub enum ErrorKind {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let mut docs = String::new();
    let mut documented = Vec::new();
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            docs.push_str(text);
        } else if let Some(name) = line.strip_suffix(',') {
            assert!(
                docs.to_lowercase().contains("retryable"),
                "{name} does not say whether it is retryable: {docs}"
            );
            documented.push(name.to_owned());
            docs.clear();
        }
    }
    assert_eq!(documented, ErrorKind::ALL.map(|kind| format!("{kind:?}")));
}

#[test]
fn display_is_of_this_level_only() {
    let error = Error::new(ErrorKind::Storage, "storage", "the log cannot be written")
        .with_source(std::io::Error::other("disk full"))
        .with_outcome(Outcome::NotApplied);
    assert_eq!(error.to_string(), "storage: the log cannot be written");
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    let at = ConflictAt {
        op_index: 2,
        path: Path::parse("a/b").unwrap(),
        current: Some(Seq(7)),
    };
    let error = Error::new(ErrorKind::Conflict, "conflict", "").with_conflict(at.clone());
    assert_eq!(error.to_string(), "conflict (op 2, `a/b` at revision 7)");
    assert_eq!((error.conflict(), error.is_conflict()), (Some(&at), true));
    let error = Error::new(ErrorKind::Http, "http", "status 503").with_retryable(true);
    assert!(error.is_retryable() && error.retry_after().is_none());
    let error = error.with_retry_after(Duration::from_secs(1));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn bad_input_is_invalid_params_with_its_code() {
    let errors = [
        (Error::from(PathError::EmptyPath), "empty_path"),
        (
            Error::from(Pattern::parse("**/a").unwrap_err()),
            "wildcard_many_not_tail",
        ),
        (Error::from(Pattern::parse("a~").unwrap_err()), "invalid_escape"),
        (Error::from(Value::from_json("{").unwrap_err()), "invalid_json"),
        (Error::from(Value::from(1).to::<String>().unwrap_err()), "type_mismatch"),
    ];
    for (error, code) in errors {
        assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidParams, code));
        assert!(!error.detail().is_empty());
    }
}
