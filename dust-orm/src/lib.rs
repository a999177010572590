//! dust-orm
