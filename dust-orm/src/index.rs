//! The indexes of a schema.

use dust_transport::model::Path;
use dust_transport::query::IndexDefinition;

use crate::error::Error;
use crate::repo::prefix;
use crate::schema::{FieldDef, Schema};

/// One index of a schema: which fields, in which order. The derive prints these; a program reads them from
/// [`Indexed::INDEXES`].
///
/// ```
/// use dust_orm::Indexed;
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "users", index("department"), index("department", "name"))]
/// struct User { slug: String, name: String, department: String }
///
/// let [by_department, by_both] = User::INDEXES else { unreachable!("two indexes") };
/// let names: Vec<_> = by_both.fields::<User>().map(|field| field.name()).collect();
/// assert!(!by_both.is_covering() && !by_both.is_unique());
/// assert_eq!(names, ["department", "name"]);
/// assert_eq!(by_department.fields::<User>().count(), 1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexDef {
    places: &'static [usize],
    covering: bool,
    unique: bool,
}

impl IndexDef {
    /// The index of the fields at these places of `FIELDS`. For the derive.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(places: &'static [usize]) -> Self {
        Self {
            places,
            covering: false,
            unique: false,
        }
    }

    /// The same, whose entries hold the records. For the derive.
    #[doc(hidden)]
    #[must_use]
    pub const fn covering(self) -> Self {
        Self { covering: true, ..self }
    }

    /// The same, in which no two records have the same values. For the derive.
    #[doc(hidden)]
    #[must_use]
    pub const fn unique(self) -> Self {
        Self { unique: true, ..self }
    }

    /// Whether its entries hold the records (`mapped = false`): a query reads nothing else, and every write of a record writes
    /// it a second time, whole.
    #[must_use]
    pub const fn is_covering(self) -> bool {
        self.covering
    }

    /// Whether no two records have the same values in its fields (`unique`).
    #[must_use]
    pub const fn is_unique(self) -> bool {
        self.unique
    }

    /// The fields, in the order of the index.
    pub fn fields<S: Schema>(self) -> impl Iterator<Item = &'static FieldDef> {
        self.places.iter().filter_map(|place| S::FIELDS.get(*place))
    }

    /// What the store knows the index by.
    pub(crate) fn definition<S: Schema>(self) -> Result<IndexDefinition, Error> {
        let fields = self.fields::<S>().map(field_path).collect::<Result<Vec<_>, _>>()?;
        let definition = IndexDefinition::new(prefix::<S>()?, fields)?;
        let definition = if self.covering {
            definition.covering()
        } else {
            definition
        };
        let definition = if self.unique { definition.unique() } else { definition };
        Ok(if S::WRITE_PRIMARY {
            definition
        } else {
            definition.index_only()
        })
    }
}

/// The path of a field below a record.
pub(crate) fn field_path(field: &FieldDef) -> Result<Path, Error> {
    let path = Path::new([field.wire_name()]);
    Ok(path.map_err(dust_transport::error::Error::from)?)
}

/// A schema whose records are found by their fields; implemented by the derive where the struct has `#[dust(index(..))]`.
///
/// ```
/// fn indexes<S: dust_orm::Indexed>() -> usize {
///     S::INDEXES.len()
/// }
///
/// # use dust_orm::prelude::*;
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "users", index(name))]
/// struct User { slug: String, name: String }
///
/// assert_eq!(indexes::<User>(), 1);
/// ```
#[diagnostic::on_unimplemented(
    message = "the records of `{Self}` are not found by their fields: it has no index",
    label = "has no index",
    note = "add the fields of the query to `{Self}`, as in `#[dust(index(department, name))]`"
)]
pub trait Indexed: Schema {
    /// The indexes in the order of their declaration.
    const INDEXES: &'static [IndexDef];
}
