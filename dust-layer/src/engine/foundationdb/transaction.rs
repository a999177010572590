//! The transaction of the engine on a cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::foundationdb::options::{ConflictRangeType, MutationType, StreamingMode};
use ::foundationdb::{FdbError, KeySelector, RangeOption, Transaction as Client, TransactionCommitError};

use super::super::mutation::{self, Template};
use super::super::overlay::part_read;
use super::super::{
    Atomic, Committed, Conflict, Direction, Isolation, Limits, METADATA_VERSION, MappedPairs, Mapper, Pairs, RangeRead,
    Transaction, Version, Watch, check_place, check_version_write, mapped, place_end,
};
use super::mapping::{self, MappedRead};
use super::{Cluster, code};
use crate::error::Error;

/// A transaction of [`FoundationDb`](super::FoundationDb).
///
/// Own writes, conflicts and unreadable keys are the client library's. What it would end the process for, a key too long
/// or a range that is inverted, is checked here before it gets there, and reported by the commit.
pub struct FdbTransaction {
    state: Mutex<State>,
    cluster: Arc<Cluster>,
    limits: Limits,
}

struct State {
    stage: Stage,
    /// The first rule that a write broke.
    broken: Option<Error>,
    bytes: usize,
    /// Whether the cluster has anything to do at the commit.
    wrote: bool,
}

enum Stage {
    Open(Client),
    /// The library gave no transaction.
    Refused(FdbError),
    Used,
}

impl std::fmt::Debug for FdbTransaction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FdbTransaction")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl FdbTransaction {
    pub(super) fn begin(cluster: &Arc<Cluster>) -> Self {
        let stage = cluster.database.create_trx().map_or_else(Stage::Refused, Stage::Open);
        Self {
            state: Mutex::new(State {
                stage,
                broken: None,
                bytes: 0,
                wrote: false,
            }),
            cluster: Arc::clone(cluster),
            limits: Limits::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the library for something; its futures do not borrow the transaction.
    fn ask<F>(&self, question: impl FnOnce(&Client) -> F) -> Result<F, Error> {
        match &self.lock().stage {
            Stage::Open(client) => Ok(question(client)),
            Stage::Refused(error) => Err(code::refused(*error)),
            Stage::Used => Err(Error::Used),
        }
    }

    /// A key that is read, as the cluster knows it. The metadata version is one for all that share the cluster.
    fn full_read(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        if key == METADATA_VERSION {
            return Ok(key.to_vec());
        }
        self.full_key(key)
    }

    /// The key as the cluster knows it.
    fn full_key(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        self.full(key, self.limits.key_bytes_max)
    }

    /// Both ends of a range, which may be one byte longer than a key, so that a range can end right after the longest.
    fn full_range(&self, begin: &[u8], end: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        if begin > end {
            return Err(Error::InvalidOperation("range is inverted"));
        }
        let bytes_max = self.limits.key_bytes_max + 1;
        // An empty range may stand at the end of all keys.
        let begin = if begin == end {
            end
        } else {
            check_place(begin).map(|()| begin)?
        };
        Ok((self.prefixed(begin, bytes_max)?, self.prefixed(end, bytes_max)?))
    }

    fn full(&self, key: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
        check_place(key)?;
        self.prefixed(key, bytes_max)
    }

    fn prefixed(&self, key: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
        let full = [&self.cluster.prefix, key].concat();
        if full.len() > bytes_max {
            return Err(Error::KeyTooLong {
                bytes: key.len(),
                bytes_max: bytes_max.saturating_sub(self.cluster.prefix.len()),
            });
        }
        Ok(full)
    }

    fn check_value(&self, bytes: usize) -> Result<(), Error> {
        let bytes_max = self.limits.value_bytes_max;
        if bytes > bytes_max {
            Err(Error::ValueTooLarge { bytes, bytes_max })
        } else {
            Ok(())
        }
    }

    /// Makes a write whose arguments are good, and keeps the first error of those that are not.
    fn write<T>(
        &self,
        arguments: Result<T, Error>,
        bytes: usize,
        write: impl FnOnce(&Client, &T) -> Result<(), Error>,
    ) {
        let mut state = self.lock();
        let State {
            stage: Stage::Open(client),
            broken: broken @ None,
            bytes: total,
            wrote,
        } = &mut *state
        else {
            return;
        };
        let outcome = arguments.and_then(|arguments| {
            let bytes_max = self.limits.transaction_bytes_max;
            let bytes = total.saturating_add(bytes);
            if bytes > bytes_max {
                return Err(Error::TransactionTooLarge { bytes, bytes_max });
            }
            *total = bytes;
            *wrote = true;
            write(client, &arguments)
        });
        *broken = outcome.err();
    }

    /// A template with ten bytes for the stamp, moved behind the prefix.
    fn full_template(&self, key: &[u8]) -> Result<Vec<u8>, Error> {
        let template = Template::parse(key)?;
        self.full(template.bytes(), self.limits.key_bytes_max)?;
        let offset = u32::try_from(template.offset() + self.cluster.prefix.len())
            .map_err(|_| Error::InvalidOperation("versionstamp offset is out of range"))?;
        Ok([&self.cluster.prefix, template.bytes(), &offset.to_le_bytes()].concat())
    }

    /// Reads a range page by page.
    ///
    /// The library calls a range cut as soon as a limit is reached, and makes all of it a conflict up to there. So one pair
    /// more than the limit is read, as a snapshot, and what was read of the range becomes a conflict afterwards.
    async fn pages(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        let read = RangeRead {
            end: place_end(read.end),
            ..read
        };
        let (begin, end) = self.full_range(read.begin, read.end)?;
        let mut pairs = Pairs::default();
        if begin == end || read.limit == 0 {
            return Ok(pairs);
        }
        let limited = read.limit < usize::MAX;
        let snapshot = limited || read.isolation == Isolation::Snapshot;
        let mut left = read.limit.saturating_add(1);
        let mut options = Some(range_option(begin, end, read.direction, limited.then_some(left)));
        let mut iteration = 1;
        while let Some(page) = options.take() {
            let values = self
                .ask(|client| client.get_range(&page, iteration, snapshot))?
                .await
                .map_err(code::refused)?;
            for pair in &values {
                if pairs.len() == read.limit {
                    pairs.set_more(true);
                    break;
                }
                let key = pair.key().get(self.cluster.prefix.len()..).unwrap_or_default();
                pairs.push(key, pair.value());
            }
            left = left.saturating_sub(values.len());
            iteration += 1;
            if left > 0 && values.more() {
                options = page.next_range(&values).map(|next| RangeOption {
                    limit: limited.then_some(left),
                    ..next
                });
            }
        }
        if limited && read.isolation == Isolation::Serializable {
            let (begin, end) = part_read(&read, &pairs);
            let (begin, end) = self.full_range(begin, &end)?;
            self.ask(|client| client.add_conflict_range(&begin, &end, ConflictRangeType::Read))?
                .map_err(code::refused)?;
        }
        Ok(pairs)
    }
}

/// A range of keys as the cluster knows them.
fn range_option(begin: Vec<u8>, end: Vec<u8>, direction: Direction, limit: Option<usize>) -> RangeOption<'static> {
    RangeOption {
        limit,
        mode: if limit.is_some() {
            StreamingMode::Exact
        } else {
            StreamingMode::WantAll
        },
        reverse: direction == Direction::Reverse,
        ..RangeOption::from((
            KeySelector::first_greater_or_equal(begin),
            KeySelector::first_greater_or_equal(end),
        ))
    }
}

impl FdbTransaction {
    /// Reads the pages of a mapped range; `None` if what the client followed is not what the entries lead to.
    ///
    /// Here, too, one entry more than the limit shows whether it cuts. It stays a conflict: the library maps no snapshot.
    async fn mapped_pages(
        &self,
        read: RangeRead<'_>,
        mapper: Mapper<'_>,
        template: &[u8],
    ) -> Result<Option<MappedPairs>, Error> {
        let (begin, end) = self.full_range(read.begin, place_end(read.end))?;
        let mut found = MappedRead::new(&self.cluster.prefix, mapper, read.limit);
        if begin == end || read.limit == 0 {
            return Ok(Some(found.finish()));
        }
        let limited = read.limit < usize::MAX;
        let mut options = range_option(begin, end, read.direction, limited.then_some(found.left()));
        let mut iteration = 1;
        loop {
            options.limit = limited.then_some(found.left());
            let page = self
                .ask(|client| client.get_mapped_range(&options, template, iteration, false))?
                .await
                .map_err(code::refused)?;
            if !found.take(&page) {
                return Ok(None);
            }
            if found.left() == 0 || !page.more() {
                return Ok(Some(found.finish()));
            }
            let Some(last) = page.last() else {
                return Ok(None);
            };
            let last = last.parent_key().to_vec();
            if options.reverse {
                options.end = KeySelector::first_greater_or_equal(last);
            } else {
                options.begin = KeySelector::first_greater_than(last);
            }
            iteration += 1;
        }
    }
}

impl Transaction for FdbTransaction {
    async fn read_version(&self) -> Result<Version, Error> {
        let version = self.ask(Client::get_read_version)?.await.map_err(code::refused)?;
        Ok(Version(u64::try_from(version).unwrap_or_default()))
    }

    async fn get(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        let key = self.full_read(key)?;
        let snapshot = isolation == Isolation::Snapshot;
        let value = self.ask(|client| client.get(&key, snapshot))?.await;
        Ok(value.map_err(code::refused)?.map(|value| value.to_vec()))
    }

    async fn get_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        self.pages(read).await
    }

    /// The client's mapped range reads committed data only, decodes keys as tuples, and refuses the rest. So it is asked
    /// where the layout allows and the transaction has written nothing; what it refuses is read the other way.
    async fn get_mapped_range(&self, read: RangeRead<'_>, mapper: Mapper<'_>) -> Result<MappedPairs, Error> {
        let may_ask = read.isolation == Isolation::Serializable && !self.lock().wrote;
        if may_ask && let Some(template) = mapping::template(&self.cluster.prefix, mapper) {
            match self.mapped_pages(read, mapper, &template).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => tracing::debug!(%error, "a mapped range is read as a range and its keys"),
            }
        }
        mapped::by_gets(self, read, mapper).await
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        let full = self
            .full_key(key)
            .and_then(|full| self.check_value(value.len()).map(|()| full));
        self.write(full, key.len() + value.len(), |client, full| {
            client.set(full, value);
            Ok(())
        });
    }

    fn clear(&self, key: &[u8]) {
        self.write(self.full_key(key), key.len(), |client, full| {
            client.clear(full);
            Ok(())
        });
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        let end = place_end(end);
        if begin == end {
            return;
        }
        self.write(
            self.full_range(begin, end),
            begin.len() + end.len(),
            |client, (begin, end)| {
                client.clear_range(begin, end);
                Ok(())
            },
        );
    }

    fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]) {
        let full = self
            .full_key(key)
            .and_then(|full| self.check_value(operand.len()).map(|()| full));
        let kind = match atomic {
            Atomic::Add => MutationType::Add,
            Atomic::Max => MutationType::Max,
        };
        self.write(full, key.len() + operand.len(), |client, full| {
            client.atomic_op(full, operand, kind);
            Ok(())
        });
    }

    fn set_versionstamped_key(&self, key: &[u8], value: &[u8]) {
        let full = self
            .full_template(key)
            .and_then(|full| self.check_value(value.len()).map(|()| full));
        self.write(full, key.len() + value.len(), |client, full| {
            client.atomic_op(full, value, MutationType::SetVersionstampedKey);
            Ok(())
        });
    }

    fn set_versionstamped_value(&self, key: &[u8], value: &[u8]) {
        let full = if key == METADATA_VERSION {
            check_version_write(value).map(|()| key.to_vec())
        } else {
            self.full_key(key).and_then(|full| {
                self.check_value(Template::parse(value)?.len())?;
                Ok(full)
            })
        };
        self.write(full, key.len() + value.len(), |client, full| {
            client.atomic_op(full, value, MutationType::SetVersionstampedValue);
            Ok(())
        });
    }

    fn add_conflict(&self, conflict: Conflict, begin: &[u8], end: &[u8]) {
        let range = self.full_range(begin, place_end(end));
        let mut state = self.lock();
        let Stage::Open(client) = &state.stage else { return };
        let kind = match conflict {
            Conflict::Read => ConflictRangeType::Read,
            Conflict::Write => ConflictRangeType::Write,
        };
        let added = range.and_then(|(begin, end)| client.add_conflict_range(&begin, &end, kind).map_err(code::refused));
        match added {
            Ok(()) => state.wrote |= conflict == Conflict::Write,
            Err(error) => state.broken = state.broken.take().or(Some(error)),
        }
    }

    fn watch(&self, key: &[u8]) -> Watch {
        let watched = self
            .full_read(key)
            .and_then(|key| self.ask(|client| client.watch(&key)));
        let mut closed = self.cluster.closed.subscribe();
        Box::pin(async move {
            let watched = watched?;
            tokio::select! {
                changed = watched => changed.map_err(code::refused),
                // Nothing is ever sent: the sender goes with the engine.
                _ = closed.changed() => Err(Error::Closed),
            }
        })
    }

    async fn commit(&self) -> Result<Committed, Error> {
        let (client, wrote, bytes) = {
            let mut state = self.lock();
            let before = std::mem::replace(&mut state.stage, Stage::Used);
            if let Some(error) = state.broken.take() {
                return Err(error);
            }
            match before {
                Stage::Open(client) => (client, state.wrote, state.bytes),
                Stage::Refused(error) => return Err(code::refused(error)),
                Stage::Used => return Err(Error::Used),
            }
        };
        if wrote {
            let stamp = client.get_versionstamp();
            let bytes_max = self.limits.transaction_bytes_max;
            let refused = |error: TransactionCommitError| code::uncommitted(error.into(), bytes, bytes_max);
            let committed = client.commit().await.map_err(refused)?;
            let version = committed.committed_version().map_err(|_| Error::CommitUnknown)?;
            let Ok(version) = u64::try_from(version) else {
                // The library may find that nothing changes, and has then committed nothing, at no version and without a stamp.
                let version = committed.reset().get_read_version().await.map_err(code::refused)?;
                return Ok(unstamped(version));
            };
            // Committed it is; only the stamp could not be had.
            let stamp = stamp.await.map_err(|_| Error::CommitUnknown)?;
            return Ok(Committed {
                version: Version(version),
                stamp: stamp.as_ref().try_into().map_err(|_| Error::CommitUnknown)?,
            });
        }
        // Committed all the same, since that is what activates watches.
        let version = client.get_read_version().await.map_err(code::refused)?;
        client.commit().await.map_err(|error| code::refused(error.into()))?;
        Ok(unstamped(version))
    }
}

/// The commit of a transaction that wrote nothing.
fn unstamped(read_version: i64) -> Committed {
    let version = u64::try_from(read_version).unwrap_or_default();
    Committed {
        version: Version(version),
        stamp: mutation::stamp(version, 0),
    }
}
