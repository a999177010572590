//! Typed handles of fields: `Link::TITLE`.

use std::fmt;
use std::marker::PhantomData;

use crate::schema::{FieldDef, Schema};

/// The handle of one field of the schema `S`, of type `T`; printed by the derive as a constant.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "links")]
/// struct Link {
///     slug: String,
///     #[serde(rename = "type")]
///     kind: u8,
/// }
///
/// let kind: Field<Link, u8> = Link::KIND;
/// assert_eq!(kind.name(), "type");
/// assert_eq!(kind.def().name(), "kind");
/// assert_eq!(format!("{kind:?}"), "Link::kind");
/// ```
pub struct Field<S, T> {
    index: usize,
    marker: PhantomData<fn() -> (S, T)>,
}

impl<S, T> Field<S, T> {
    /// The handle of the field at `index` of `S::FIELDS`. For the derive.
    #[doc(hidden)]
    #[must_use]
    pub const fn at(index: usize) -> Self {
        Self {
            index,
            marker: PhantomData,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self.index
    }
}

impl<S: Schema, T> Field<S, T> {
    /// The definition of the field.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "the derive prints the index beside the table; only a handle written by hand can be off"
    )]
    pub fn def(self) -> &'static FieldDef {
        &S::FIELDS[self.index]
    }

    /// The name in inputs, errors and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.def().serde_name()
    }
}

impl<S, T> Clone for Field<S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, T> Copy for Field<S, T> {}

impl<S: Schema, T> fmt::Debug for Field<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", S::NAME, self.def().name())
    }
}

/// Fields of one schema, whatever their types: a handle, an array of handles of one type, or a tuple of up to 16 of any
/// of these.
///
/// ```
/// use dust_orm::FieldList;
/// # use dust_orm::prelude::*;
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String, clicks: u32 }
///
/// /// What a form may change.
/// fn permitted() -> impl FieldList<Link> {
///     (Link::CLICKS, [Link::SLUG, Link::TITLE])
/// }
///
/// assert!(Link::changeset(&[("clicks", "1")]).only(permitted()).changed(Link::CLICKS));
/// ```
pub trait FieldList<S> {
    /// The indexes of the fields.
    #[doc(hidden)]
    fn indexes(self) -> Vec<usize>;
}

impl<S, T> FieldList<S> for Field<S, T> {
    fn indexes(self) -> Vec<usize> {
        vec![self.index]
    }
}

impl<S, T, const N: usize> FieldList<S> for [Field<S, T>; N] {
    fn indexes(self) -> Vec<usize> {
        self.map(|field| field.index).to_vec()
    }
}

macro_rules! tuples {
    () => {};
    ($first:ident $($name:ident)*) => {
        impl<S, $first: FieldList<S>, $($name: FieldList<S>),*> FieldList<S> for ($first, $($name,)*) {
            #[expect(non_snake_case, reason = "the type parameters name the elements too")]
            fn indexes(self) -> Vec<usize> {
                let ($first, $($name,)*) = self;
                [$first.indexes(), $($name.indexes()),*].concat()
            }
        }
        tuples!($($name)*);
    };
}

tuples!(A B C D E F G H I J K L M N O P);

/// What can be put into a field of type `T`: a `T`, a `&str` for a `String`, and either of them for an `Option`.
///
/// ```
/// use dust_orm::IntoField;
///
/// fn put<T>(value: impl IntoField<T>) -> T {
///     value.into_field()
/// }
///
/// assert_eq!(put::<String>("Dust"), "Dust");
/// assert_eq!(put::<Option<u32>>(5), Some(5));
/// assert_eq!(put::<Option<String>>(None), None);
/// ```
pub trait IntoField<T> {
    /// The value for the field.
    fn into_field(self) -> T;
}

impl<T> IntoField<T> for T {
    fn into_field(self) -> T {
        self
    }
}

impl<T> IntoField<Option<T>> for T {
    fn into_field(self) -> Option<T> {
        Some(self)
    }
}

macro_rules! text {
    ($($type:ty),*) => {
        $(
            impl IntoField<String> for $type {
                fn into_field(self) -> String {
                    self.to_owned()
                }
            }

            impl IntoField<Option<String>> for $type {
                fn into_field(self) -> Option<String> {
                    Some(self.to_owned())
                }
            }
        )*
    };
}

text!(&str, &String);

/// What a field is read as: its type, or for an `Option<T>` the `T` in it, since "absent" is said beside it already.
///
/// Where a field is an `Option`, both are possible, and the caller says which: `let note: Option<String> =
/// changeset.get_field(Link::NOTE)`.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String, note: Option<String> }
/// let changeset = Changeset::<Link>::new().put(Link::TITLE, "Dust").put(Link::NOTE, "a store");
/// let title = changeset.get_field(Link::TITLE);
/// let note: Option<String> = changeset.get_field(Link::NOTE);
/// assert_eq!((title.as_deref(), note.as_deref()), (Some("Dust"), Some("a store")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not read as `{T}`",
    label = "not the type of the field",
    note = "a field is read as its type, or as the `T` of its `Option<T>`"
)]
pub trait ReadAs<T> {}

impl<S, T> ReadAs<T> for Field<S, T> {}

impl<S, T> ReadAs<T> for Field<S, Option<T>> {}
