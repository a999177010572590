//! Pages of the log, backwards: what was done, by whom and when.

use dust_layer::{Direction, Engine, Isolation, RangeRead, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Event, Seq};

use crate::codec::Record;
use crate::error::{corrupt, of_read};
use crate::store::Store;
use crate::subscription::event;

/// An op of the log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Logged {
    /// What was done.
    pub event: Event,
    /// When, in milliseconds since 1970, by the clock of who wrote it.
    pub at_ms: u64,
}

impl<E: Engine> Store<E> {
    /// The ops before a sequence number, the last first, at most `limit`.
    pub(crate) async fn log(&self, before: Seq, limit: usize) -> Result<Vec<Logged>, Error> {
        let (begin, end) = (self.keys.record(0), self.keys.record(before.0));
        let read = RangeRead {
            begin: &begin,
            end: &end,
            limit,
            direction: Direction::Reverse,
            isolation: Isolation::Snapshot,
        };
        let page = self.engine.begin().get_range(read).await.map_err(of_read)?;
        let logged = page.iter().map(|(key, value)| {
            let seq = self.keys.seq_of(key);
            let seq = seq.ok_or_else(|| corrupt("a key in the log is not that of an op"))?;
            let record = Record::decode(value);
            let record = record.map_err(|error| corrupt(format!("the op {seq} does not decode")).with_source(error))?;
            Ok(Logged {
                event: event(seq, value)?,
                at_ms: record.wall_clock_ms,
            })
        });
        logged.collect()
    }
}
