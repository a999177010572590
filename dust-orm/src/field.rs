//! Typed handles of fields: `Link::TITLE`.

use std::marker::PhantomData;

/// The handle of one field of the schema `S`, of type `T`; printed by the derive as a constant.
pub struct Field<S, T> {
    index: usize,
    marker: PhantomData<fn() -> (S, T)>,
}

impl<S, T> Field<S, T> {
    /// The handle of the field at `index` of `S::FIELDS`. For the derive.
    #[doc(hidden)]
    #[must_use]
    pub const fn at(index: usize) -> Self {
        Self { index, marker: PhantomData }
    }
}
