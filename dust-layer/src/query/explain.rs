//! What a query reads, for people.

use std::fmt;
use std::ops::Bound;

use super::plan::Access;
use super::{Plan, Query};
use crate::engine::{Direction, Engine};
use crate::error::Error;
use crate::index::FieldId;
use crate::table::Table;
use crate::tenant::TenantTransaction;

/// A plan beside the query that it answers; its `Display` is one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    plan: Plan,
    /// The conditions, with names for the fields.
    conditions: Vec<String>,
}

impl Explanation {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        match &plan.access {
            Access::Rows => write!(f, "rows of {}: ", plan.collection)?,
            Access::Index(def) => write!(f, "index ({}) of {}: ", def.name(), plan.collection)?,
        }
        if self.conditions.is_empty() {
            f.write_str("everything")?;
        }
        f.write_str(&self.conditions.join(" and "))?;
        f.write_str(match plan.direction {
            Direction::Forward => ", forward",
            Direction::Reverse => ", in reverse",
        })?;
        if let Some(limit) = plan.limit {
            write!(f, ", at most {limit}")?;
        }
        if plan.reads_records() {
            f.write_str(", then one get for each entry")?;
        }
        Ok(())
    }
}

impl Query {
    /// Puts a plan of the query into words; `table` has the names of numbered fields, if there are some.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::query::Query;
    /// use dust_layer::table::Table;
    /// use dust_layer::value::{FieldType, FieldValue};
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
    /// let tx = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?.begin();
    /// let query = Query::new().range("id", ..FieldValue::from(7));
    /// let plan = query.plan(&users, &*tx.catalog("users").await?)?;
    /// assert_eq!(query.explain(plan, Some(&users)).to_string(), "rows of users: id < 7, forward");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn explain(&self, plan: Plan, table: Option<&Table>) -> Explanation {
        let name = |id: &FieldId| match id {
            FieldId::Number(number) => {
                let known = table.and_then(|table| table.numbered(*number));
                known.map_or_else(|| id.to_string(), |field| field.name.to_string())
            }
            FieldId::Name(name) => name.to_string(),
        };
        let equals = self
            .equals
            .iter()
            .map(|(field, value)| format!("{} = {value}", name(field)));
        let mut conditions: Vec<String> = equals.collect();
        for range in &self.ranges {
            let field = name(&range.field);
            match &range.lower {
                Bound::Included(value) => conditions.push(format!("{field} >= {value}")),
                Bound::Excluded(value) => conditions.push(format!("{field} > {value}")),
                Bound::Unbounded => {}
            }
            match &range.upper {
                Bound::Included(value) => conditions.push(format!("{field} <= {value}")),
                Bound::Excluded(value) => conditions.push(format!("{field} < {value}")),
                Bound::Unbounded => {}
            }
        }
        Explanation { plan, conditions }
    }
}

impl<E: Engine> TenantTransaction<E> {
    /// Tells what a query would read, without reading it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn explain(&self, table: &Table, query: &Query) -> Result<Explanation, Error> {
        Ok(query.explain(self.plan(table, query).await?, Some(table)))
    }
}
