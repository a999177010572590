//! Workspace tests live in this crate's `tests` folder; the library is empty.
