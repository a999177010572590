//! dust-derive
