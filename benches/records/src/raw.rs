//! The embedded store without the rest: the same file, opened with `redb` directly.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc;

use dust_store::codec::{Head, Leaf, Record};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::oneshot;

use crate::Failure;
use crate::record::{LEAVES, PREFIX, Person, slug};

/// The table of a store's file.
const PAIRS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");
/// Whole records as one JSON text each.
const WHOLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("whole");

/// As much as a store is given by default.
const CACHE_BYTES: usize = 64 << 20;

pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A copy of a store's file.
pub(crate) struct Raw {
    database: Database,
    /// What comes before the path in the key of a leaf.
    leaf: Vec<u8>,
}

/// The fields of a record as they come out of the file.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    email: Option<String>,
    age: Option<u32>,
    city: Option<String>,
    tags: Option<Vec<String>>,
}

impl Fields {
    fn take(&mut self, name: &[u8], stored: &[u8]) -> Result<(), Failure> {
        let json = text(stored)?;
        match name {
            b"name\0" => self.name = serde_json::from_slice(json)?,
            b"email\0" => self.email = serde_json::from_slice(json)?,
            b"age\0" => self.age = serde_json::from_slice(json)?,
            b"city\0" => self.city = serde_json::from_slice(json)?,
            b"tags\0" => self.tags = serde_json::from_slice(json)?,
            _ => return Err("an unknown leaf".into()),
        }
        Ok(())
    }

    fn person(self, slug: String) -> Option<Person> {
        Some(Person {
            slug,
            name: self.name?,
            email: self.email?,
            age: self.age?,
            city: self.city,
            tags: self.tags?,
        })
    }
}

/// The JSON text of a stored leaf: it follows the format, the kind and the revision.
fn text(stored: &[u8]) -> Result<&[u8], Failure> {
    let revision = stored.get(2..).ok_or("a short leaf")?;
    let last = revision
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .ok_or("a short leaf")?;
    Ok(revision.get(last + 1..).unwrap_or_default())
}

impl Raw {
    /// Copies the file of a closed store in `folder` to `file` and opens the copy; adds the first `whole` records as
    /// single values.
    pub(crate) fn copy(folder: &Path, file: &Path, whole: u32) -> Result<Self, Failure> {
        std::fs::copy(folder.join("data.redb"), file)?;
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(file)?;
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(WHOLE)?;
            for number in 0..whole {
                let person = Person::numbered(number);
                table.insert(&*person.slug, &*serde_json::to_vec(&person)?)?;
            }
        }
        transaction.commit()?;
        let leaf = leaf_prefix(&database)?;
        Ok(Self { database, leaf })
    }

    /// One record from its five leaves.
    pub(crate) fn get(&self, slug: &str) -> Result<Option<Person>, Failure> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(PAIRS)?;
        let begin = [&*self.leaf, PREFIX.as_bytes(), b"/", slug.as_bytes(), b"/"].concat();
        let names = begin.len();
        let mut end = begin.clone();
        if let Some(last) = end.last_mut() {
            *last = b'0';
        }
        let mut fields = Fields::default();
        for pair in table.range::<&[u8]>(&*begin..&*end)? {
            let (key, value) = pair?;
            fields.take(key.value().get(names..).unwrap_or_default(), value.value())?;
        }
        Ok(fields.person(slug.to_owned()))
    }

    /// One record from one value.
    pub(crate) fn get_whole(&self, slug: &str) -> Result<Option<Person>, Failure> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(WHOLE)?;
        let found = table.get(slug)?;
        Ok(found.map(|json| serde_json::from_slice(json.value())).transpose()?)
    }

    /// Every record, from a scan of all leaves.
    pub(crate) fn all(&self) -> Result<Vec<Person>, Failure> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(PAIRS)?;
        let begin = [&*self.leaf, PREFIX.as_bytes(), b"/"].concat();
        let end = [&*self.leaf, PREFIX.as_bytes(), b"0"].concat();
        let mut people = Vec::new();
        let mut open: Option<(String, Fields)> = None;
        for pair in table.range::<&[u8]>(&*begin..&*end)? {
            let (key, value) = pair?;
            let rest = key.value().get(begin.len()..).unwrap_or_default();
            let slash = rest
                .iter()
                .position(|byte| *byte == b'/')
                .ok_or("a leaf without a record")?;
            let (slug, name) = rest.split_at(slash);
            if open.as_ref().is_none_or(|(open, _)| open.as_bytes() != slug) {
                let slug = std::str::from_utf8(slug)?.to_owned();
                let done = open.replace((slug, Fields::default()));
                people.extend(done.and_then(|(slug, fields)| fields.person(slug)));
            }
            if let Some((_, fields)) = &mut open {
                fields.take(name.get(1..).unwrap_or_default(), value.value())?;
            }
        }
        people.extend(open.and_then(|(slug, fields)| fields.person(slug)));
        Ok(people)
    }

    /// What one insert of a record writes: its leaves and the records of the log, but not the head.
    pub(crate) fn pairs(&self, person: &Person, seq_before: u64, wall_clock_ms: u64) -> Result<Vec<Pair>, Failure> {
        use dust_transport::model::{OpKind, ValueKind};
        let kinds = [
            ValueKind::String,
            ValueKind::String,
            ValueKind::Integer,
            ValueKind::String,
            ValueKind::List,
        ];
        let mut pairs = Vec::with_capacity(2 * LEAVES.len());
        let leaves = LEAVES.iter().zip(kinds).zip(person.texts()?);
        for ((seq, batch_index), ((name, kind), text)) in (seq_before + 1..).zip(0..).zip(leaves) {
            let path = format!("{PREFIX}/{}/{name}", person.slug);
            let leaf = Leaf {
                kind,
                revision: seq,
                text: &text,
            };
            pairs.push(([&*self.leaf, path.as_bytes(), b"\0"].concat(), leaf.encode()));
            let record = Record {
                kind: OpKind::Set,
                wall_clock_ms,
                batch_index,
                device: "dev_embedded",
                op_id: None,
                path: &path,
                value: Some(&text),
            };
            pairs.push((self.record_key(seq), record.encode()));
        }
        Ok(pairs)
    }

    /// The key of the log under a number.
    fn record_key(&self, seq: u64) -> Vec<u8> {
        let digits = seq.to_be_bytes();
        let significant = digits
            .iter()
            .position(|byte| *byte != 0)
            .and_then(|first| digits.get(first..));
        let significant = significant.unwrap_or_default();
        let code = 0x14 + u8::try_from(significant.len()).unwrap_or(8);
        [self.space(), b"o\0", &[code], significant].concat()
    }

    /// What all keys of the store begin with.
    fn space(&self) -> &[u8] {
        self.leaf.strip_suffix(b"e\0\x01").unwrap_or(&self.leaf)
    }

    /// Fails unless the store wrote the very pairs that [`pairs`](Self::pairs) gives for the first record.
    pub(crate) fn check_pairs(&self) -> Result<(), Failure> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(PAIRS)?;
        let first = table.get(&*self.record_key(1))?.ok_or("the log is empty")?;
        let wall_clock_ms = Record::decode(first.value())?.wall_clock_ms;
        for (key, value) in self.pairs(&Person::numbered(0), 0, wall_clock_ms)? {
            if table.get(&*key)?.is_none_or(|found| found.value() != value) {
                return Err(format!("the store has no such pair: {}", key.escape_ascii()).into());
            }
        }
        let head = table.get(&*self.head_key())?.ok_or("there is no head")?;
        Head::decode(head.value())?;
        Ok(())
    }

    fn head_key(&self) -> Vec<u8> {
        [self.space(), b"h\0"].concat()
    }

    /// Commits inserts and the head, durably, at once.
    pub(crate) fn commit<'p>(&self, inserts: impl IntoIterator<Item = &'p [Pair]>) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(PAIRS)?;
            for (key, value) in inserts.into_iter().flatten() {
                table.insert(&**key, &**value)?;
            }
            let head = Head {
                seq: u64::from(u32::MAX),
                ..Head::default()
            };
            table.insert(&*self.head_key(), &*head.encode())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Commits what is queued, all of it at once, until the queue is closed.
    pub(crate) fn commit_groups(&self, queue: &mpsc::Receiver<Insert>) -> Result<(), Failure> {
        while let Ok(first) = queue.recv() {
            let mut group = VecDeque::from([first]);
            group.extend(queue.try_iter());
            self.commit(group.iter().map(|insert| &*insert.pairs))?;
            for insert in group {
                let _ = insert.done.send(());
            }
        }
        Ok(())
    }
}

/// An insert that waits for its group.
pub(crate) struct Insert {
    pub(crate) pairs: Vec<Pair>,
    pub(crate) done: oneshot::Sender<()>,
}

/// What comes before the path in the keys of leaves, as the leaves of the first record tell.
fn leaf_prefix(database: &Database) -> Result<Vec<u8>, Failure> {
    let leaf = format!("{PREFIX}/{}/name\0", slug(0));
    for pair in database.begin_read()?.open_table(PAIRS)?.iter()? {
        let (key, _) = pair?;
        if let Some(prefix) = key.value().strip_suffix(leaf.as_bytes()) {
            return Ok(prefix.to_vec());
        }
    }
    Err("the store has no leaf of the first record".into())
}
