//! One setting of an attribute.

use proc_macro2::Span;

use crate::ctxt::Ctxt;

/// A setting that may be given once, and where it was given.
pub(crate) struct Attr<T> {
    name: &'static str,
    given: Option<Given<T>>,
}

struct Given<T> {
    value: T,
    span: Span,
}

impl<T> Attr<T> {
    /// The setting `name`, not given yet.
    pub(crate) fn none(name: &'static str) -> Self {
        Self { name, given: None }
    }

    /// Takes the value at `span`; a second one is an error, and the first stays.
    pub(crate) fn set(&mut self, cx: &Ctxt, span: Span, value: T) {
        if self.given.is_some() {
            cx.error(span, format_args!("`{}` is given twice: keep one of them", self.name));
        } else {
            self.given = Some(Given { value, span });
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.given.is_some()
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given.as_ref().map(|given| &given.value)
    }

    /// Where it was given.
    pub(crate) fn span(&self) -> Option<Span> {
        self.given.as_ref().map(|given| given.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_value_is_an_error_and_the_first_stays() {
        let cx = Ctxt::new();
        let mut attr = Attr::none("rename");
        assert!(!attr.is_set() && attr.span().is_none());
        attr.set(&cx, Span::call_site(), 1);
        attr.set(&cx, Span::call_site(), 2);
        assert_eq!(attr.value(), Some(&1));
        let errors = cx.check().unwrap_err().to_string();
        assert!(errors.contains("`rename` is given twice: keep one of them"), "{errors}");
    }
}
