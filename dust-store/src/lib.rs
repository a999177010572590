//! dust-store
