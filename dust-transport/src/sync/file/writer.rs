//! The thread that writes: one transaction after another, until it is closed or the disk fails.

use std::sync::Arc;

use redb::Database;
use tokio::sync::watch;

use super::format::{LEAVES, META, SENT, WRITES, key, leaf_to_text};
use super::{Changes, Progress, Queue, WriteChange, failed};

/// Writes until the end. Nothing is written after a failure, since nobody knows the disk any more.
pub(super) fn run(database: Database, queue: &Arc<Queue>, progress: &watch::Sender<Progress>) {
    let over = loop {
        let Some((changes, through)) = queue.take() else {
            break database.close().map_err(redb::Error::from);
        };
        if let Err(error) = commit(&database, &changes) {
            // So that the file can be opened again.
            drop(database);
            break Err(error);
        }
        progress.send_modify(|progress| progress.through = through);
    };
    if let Err(error) = &over {
        tracing::error!(%error, "the file of a replica cannot be written");
    }
    progress.send_modify(|progress| progress.over = Some(over.map_err(failed)));
}

/// All of it, or nothing.
fn commit(database: &Database, changes: &Changes) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    if changes.cleared {
        transaction.delete_table(LEAVES)?;
    }
    {
        let mut leaves = transaction.open_table(LEAVES)?;
        for (path, leaf) in &changes.leaves {
            match leaf {
                Some(leaf) => drop(leaves.insert(path.as_str(), leaf_to_text(leaf).as_str())?),
                None => drop(leaves.remove(path.as_str())?),
            }
        }
        let mut meta = transaction.open_table(META)?;
        let applied = changes.applied.map(|seq| seq.to_string());
        let whole = changes.is_whole.map(|is_whole| if is_whole { "yes" } else { "no" });
        let entries = [
            (key::APPLIED, applied.as_deref()),
            (key::WHOLE, whole),
            (key::EXTENSIONS, changes.extensions.as_deref()),
            (key::STORE_ID, changes.store_id.as_deref()),
        ];
        for (key, value) in entries {
            if let Some(value) = value {
                meta.insert(key, value)?;
            }
        }
        let (mut writes, mut sent) = (transaction.open_table(WRITES)?, transaction.open_table(SENT)?);
        for (number, change) in &changes.writes {
            let is_sent = match change {
                WriteChange::Put { row, is_sent } => {
                    writes.insert(number, row.to_text().as_str())?;
                    *is_sent
                }
                WriteChange::Sent => true,
                WriteChange::Remove => {
                    writes.remove(number)?;
                    sent.remove(number)?;
                    false
                }
            };
            if is_sent {
                sent.insert(number, ())?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}
