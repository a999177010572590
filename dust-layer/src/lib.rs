//! dust-layer
