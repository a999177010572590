//! The errors of one derive.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::{Span, TokenStream};

/// Collects errors, so that one compile shows every mistake of a struct.
///
/// Everything that reads input records what is wrong and goes on. Dropping a context that was not checked is a bug of the macro, since
/// it would swallow errors, and panics.
pub(crate) struct Ctxt {
    errors: RefCell<Option<Vec<syn::Error>>>,
}

impl Ctxt {
    pub(crate) fn new() -> Self {
        Self {
            errors: RefCell::new(Some(Vec::new())),
        }
    }

    /// Records a mistake at `span`. The message names the mend.
    pub(crate) fn error(&self, span: Span, message: impl Display) {
        self.syntax_error(syn::Error::new(span, message));
    }

    /// Records a mistake that the parser found.
    pub(crate) fn syntax_error(&self, error: syn::Error) {
        if let Some(errors) = self.errors.borrow_mut().as_mut() {
            errors.push(error);
        }
    }

    /// The compile errors of all that was recorded, in that order.
    pub(crate) fn check(self) -> Result<(), TokenStream> {
        let errors = self.errors.take().unwrap_or_default();
        if errors.is_empty() {
            return Ok(());
        }
        Err(errors.into_iter().map(syn::Error::into_compile_error).collect())
    }
}

impl Drop for Ctxt {
    fn drop(&mut self) {
        let unchecked = self.errors.get_mut().is_some();
        assert!(
            !unchecked || std::thread::panicking(),
            "a context was dropped before its errors were checked"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_errors_are_kept_in_order() {
        let cx = Ctxt::new();
        cx.error(Span::call_site(), "first");
        cx.error(Span::call_site(), "second");
        let errors = cx.check().unwrap_err().to_string();
        assert_eq!(
            errors,
            r#":: core :: compile_error ! { "first" } :: core :: compile_error ! { "second" }"#
        );
    }

    #[test]
    fn nothing_recorded_is_ok() {
        assert!(Ctxt::new().check().is_ok());
    }

    #[test]
    #[should_panic(expected = "before its errors were checked")]
    fn an_unchecked_context_panics() {
        Ctxt::new().error(Span::call_site(), "lost");
    }
}
