//! Steps that go through the records of a schema.

use dust_transport::error as transport_error;
use dust_transport::model::{Entry, Op, Path, Precondition, Seq, Value, ValueKind};
use dust_transport::transport::{List, Transport};

use super::{Records, invalid, path_of};
use crate::error::{Error, ErrorKind};

/// Leaves per page.
const PAGE_LEAVES: usize = 1000;

/// What is done to each record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Edit {
    /// Copies a field to another one.
    Copy {
        from: &'static str,
        to: &'static str,
        /// And takes the first one away.
        and_delete: bool,
    },
    Delete {
        field: &'static str,
    },
}

impl Edit {
    /// The field that goes.
    fn deleted(self) -> Option<&'static str> {
        match self {
            Self::Copy { from, and_delete, .. } => Some(from).filter(|_| and_delete),
            Self::Delete { field } => Some(field),
        }
    }
}

/// What one batch of records comes to.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) ops: Vec<Op>,
    pub(super) records: usize,
    /// Behind the last of them; `None` if they are the last of all.
    pub(super) cursor: Option<Path>,
}

/// The leaves of one record, or a leaf that is none.
struct Group {
    slug: String,
    is_record: bool,
    entries: Vec<Entry>,
}

/// A record that is changed: the place of its first op, its path, its leaves as they were read.
type Changed = (usize, Path, Vec<(Path, Seq)>);

/// An edit of the records of a schema.
pub(super) struct Editor<'t> {
    transport: &'t dyn Transport,
    prefix: Path,
    edit: Edit,
    /// Why the field may not be deleted.
    refused: Option<String>,
    ops_max: usize,
}

impl<'t> Editor<'t> {
    pub(super) async fn new(transport: &'t dyn Transport, records: Records, edit: Edit) -> Result<Self, Error> {
        let prefix = path_of(records.prefix.iter().copied())?;
        // Asks a server what it can, if that is not known yet; and an index counts wherever it comes from.
        let indexes = match transport.indexes().await {
            Err(error) if error.kind() == ErrorKind::NotSupported => Vec::new(),
            indexes => indexes?,
        };
        let capabilities = transport.capabilities();
        if matches!(edit, Edit::Copy { .. }) && !capabilities.subtree_preconditions {
            let message = "fields are copied only where the store compares whole records: what others write meanwhile would be lost";
            return Err(Error::new(ErrorKind::NotSupported, message));
        }
        let mut refused = None;
        if let Some(field) = edit.deleted() {
            let path = path_of([field])?;
            let is_field = |def: &&crate::schema::FieldDef| def.is_stored() && def.wire_name() == field;
            if records.fields.iter().any(|def| is_field(&def)) {
                refused = Some(format!(
                    "the field `{field}` of `{prefix}` cannot be deleted: the schema has it"
                ));
            } else if let Some(index) = indexes.iter().map(|status| &status.definition).find(|index| {
                *index.prefix() == prefix
                    && index
                        .fields()
                        .iter()
                        .any(|field| *field == path || path.is_ancestor_of(field))
            }) {
                refused = Some(format!(
                    "the field `{field}` of `{prefix}` cannot be deleted: the index of {index} uses it"
                ));
            }
        }
        Ok(Self {
            transport,
            prefix,
            edit,
            refused,
            // Beside them, a batch has those of the claim and the state.
            ops_max: capabilities.batch_ops_max.saturating_sub(2),
        })
    }

    /// Reads the next records behind a cursor, and says what is done to them.
    pub(super) async fn next(&self, cursor: Option<&str>, records_max: usize) -> Result<Edited, Error> {
        let after = cursor.map(parse).transpose()?;
        let (groups, mut is_last) = self.page(after).await?;
        let mut edited = Edited {
            ops: Vec::new(),
            records: 0,
            cursor: None,
        };
        // Which records are changed, and where among the ops the condition of each stands.
        let mut changed = Vec::new();
        for group in groups {
            let (root, ops) = self.ops(&group)?;
            if edited.records == records_max || edited.ops.len() + ops.len() > self.ops_max {
                if edited.records == 0 {
                    return Err(invalid(format!(
                        "the record `{root}` has too many leaves for one batch"
                    )));
                }
                is_last = false;
                break;
            }
            if !ops.is_empty() && matches!(self.edit, Edit::Copy { .. }) {
                let leaves = group.entries.iter().map(|entry| (entry.path.clone(), entry.revision));
                changed.push((edited.ops.len(), root, leaves.collect()));
            }
            edited.ops.extend(ops);
            edited.records += usize::from(group.is_record);
            edited.cursor = Some(self.behind(&group)?);
        }
        if is_last {
            edited.cursor = None;
        }
        self.expect(&mut edited.ops, changed).await?;
        Ok(edited)
    }

    /// Lets ops expect the records as they were read.
    async fn expect(&self, ops: &mut [Op], changed: Vec<Changed>) -> Result<(), Error> {
        if changed.is_empty() {
            return Ok(());
        }
        // A leaf at the path of a record is none of its fields, and yet a part of the subtree that is compared.
        let roots: Vec<_> = changed.iter().map(|(_, root, _)| root.clone()).collect();
        let at_roots = self.transport.get_many(&roots).await?;
        for ((index, root, mut leaves), at_root) in changed.into_iter().zip(at_roots) {
            leaves.splice(..0, at_root.map(|entry| (entry.path, entry.revision)));
            if let Some(op) = ops.get_mut(index) {
                op.precondition = Precondition::Subtree { root, leaves };
            }
        }
        Ok(())
    }

    /// Where a list goes on behind a record. What is below `slug` comes before `slug0`, and nothing else between them.
    fn behind(&self, group: &Group) -> Result<Path, Error> {
        let end = if group.is_record { "0" } else { "" };
        parse(&format!("{}/{}{end}", self.prefix, group.slug))
    }

    /// The records of the next page, whole; and whether there are no others.
    async fn page(&self, after: Option<Path>) -> Result<(Vec<Group>, bool), Error> {
        let limit = self.transport.capabilities().page_leaves_max.min(PAGE_LEAVES);
        let list = List::below(self.prefix.clone()).limit(limit).after(after);
        let page = self.transport.list(&list).await?;
        let mut groups: Vec<Group> = Vec::new();
        for entry in page.items.into_entries() {
            let Some(rest) = entry.path.strip_prefix(&self.prefix) else {
                continue;
            };
            let (slug, is_record) = rest.split_once('/').map_or((rest, false), |(slug, _)| (slug, true));
            match groups.last_mut() {
                Some(group) if group.slug == slug && group.is_record == is_record => group.entries.push(entry),
                _ => groups.push(Group {
                    slug: slug.to_owned(),
                    is_record,
                    entries: vec![entry],
                }),
            }
        }
        let is_last = page.next.is_none();
        // The last record may go on in the next page.
        if !is_last && groups.len() > 1 {
            groups.pop();
        } else if !is_last && let Some(group) = groups.first_mut().filter(|group| group.is_record) {
            group.entries = self.record(&group.slug).await?;
        }
        Ok((groups, is_last))
    }

    /// All leaves of one record, however many.
    async fn record(&self, slug: &str) -> Result<Vec<Entry>, Error> {
        let root = parse(&format!("{}/{slug}", self.prefix))?;
        let limit = self.transport.capabilities().page_leaves_max.min(PAGE_LEAVES);
        let mut list = List::below(root).limit(limit);
        let mut entries = Vec::new();
        loop {
            let page = self.transport.list(&list).await?;
            entries.extend(page.items.into_entries());
            match page.next {
                Some(next) => list = list.after(next),
                None => return Ok(entries),
            }
        }
    }

    /// The path of a record, and what is done to it.
    fn ops(&self, group: &Group) -> Result<(Path, Vec<Op>), Error> {
        let root = parse(&format!("{}/{}", self.prefix, group.slug))?;
        let mut ops = Vec::new();
        if !group.is_record {
            return Ok((root, ops));
        }
        let at = |field: &str| root.child(field).map_err(transport_error::Error::from);
        let has = |path: &Path| group.entries.iter().any(|entry| entry.path.starts_with(path));
        if let Edit::Copy { from, to, .. } = self.edit {
            let (from, to) = (at(from)?, at(to)?);
            let is_null = |entry: &Entry| entry.path == from && entry.kind == ValueKind::Null;
            if !has(&to) && !group.entries.iter().any(is_null) {
                for entry in group.entries.iter().filter(|entry| entry.path.starts_with(&from)) {
                    ops.extend(copy(entry, &from, &to)?);
                }
            }
        }
        if let Some(field) = self.edit.deleted() {
            let path = at(field)?;
            if has(&path) {
                if let Some(refused) = &self.refused {
                    return Err(invalid(refused.as_str()));
                }
                ops.push(Op::delete(path));
            }
        }
        Ok((root, ops))
    }
}

fn parse(rendered: &str) -> Result<Path, Error> {
    Ok(Path::parse(rendered).map_err(transport_error::Error::from)?)
}

/// The ops that make the same leaf elsewhere, of the same kind.
fn copy(entry: &Entry, from: &Path, to: &Path) -> Result<Vec<Op>, Error> {
    let rest = entry.path.strip_prefix(from).map(|rest| format!("{to}/{rest}"));
    let path = match rest.filter(|_| entry.path != *from) {
        Some(below) => parse(&below)?,
        None => to.clone(),
    };
    let value = entry.value.clone();
    Ok(match entry.kind {
        ValueKind::Counter => vec![Op::increment(path, value)],
        ValueKind::Set => {
            let members: Vec<serde_json::Value> = value.to().map_err(transport_error::Error::from)?;
            let op = |member: serde_json::Value| {
                let member = Value::from_json(&member.to_string()).map_err(transport_error::Error::from)?;
                Ok(Op::add(path.clone(), member))
            };
            // The newest stands first.
            members.into_iter().rev().map(op).collect::<Result<_, Error>>()?
        }
        ValueKind::Decimal | ValueKind::Datetime => {
            let typed = [("_type", Value::from(entry.kind.as_str())), ("_typed", value)];
            vec![Op::set(path, Value::map(typed))]
        }
        ValueKind::File | ValueKind::Lease => {
            let message = format!("`{}` holds a {}, which is not copied", entry.path, entry.kind.as_str());
            return Err(Error::new(ErrorKind::NotSupported, message));
        }
        _ => vec![Op::set(path, value)],
    })
}
