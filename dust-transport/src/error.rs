//! What can go wrong between a caller and a store.
