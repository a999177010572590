//! A store as the beginning of another one.

use dust_layer::{Engine, Isolation, Tenant, Transaction, transact};
use dust_transport::error::Error;

use crate::draft::read;
use crate::error::{Refusal, of_read};
use crate::keyspace::Keyspace;
use crate::page;
use crate::store::{STORAGE_ID, Store};
use crate::{Database, Embedded, StoreName};

impl<E: Engine> Database<E> {
    /// Makes a store with all that another one holds at this moment: the leaves, the log, the sequence number.
    ///
    /// It is copied in pieces, the head last: what has been copied when something fails is no op of the new store, and is
    /// removed by the next attempt. Nobody may write the new store before the copy is done.
    ///
    /// ```
    /// use dust_store::Database;
    /// use dust_transport::model::{Op, Path};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let database = Database::memory();
    /// let links = database.store("acme/links").await?;
    /// links.write(Op::set(Path::parse("a")?, 1).into()).await?;
    /// let copy = database.copy("acme/links", "acme/copy").await?;
    /// assert_eq!(copy.head().await?, links.head().await?);
    /// assert!(copy.exists(&Path::parse("a")?).await?);
    /// assert!(database.copy("acme/links", "acme/copy").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidParams` for what is no name of a store, and with the code `store_not_empty` if the new store has an op already;
    /// failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the new store without an op.
    pub async fn copy(&self, from: &str, to: &str) -> Result<Embedded, Error> {
        let engine = self.engine();
        let (from, to) = (StoreName::parse(from)?, StoreName::parse(to)?);
        // Opened for the check of their formats, and put away again: the head of the new one is going to move.
        for name in [&from, &to] {
            Store::open(engine, name.clone(), self.options().clone()).await?;
        }
        let source = Tenant::create_or_open(engine, STORAGE_ID, from.as_str());
        let source = Keyspace::new(source.await.map_err(of_read)?.prefix());
        let target = Tenant::create_or_open(engine, STORAGE_ID, to.as_str());
        let target = Keyspace::new(target.await.map_err(of_read)?.prefix());
        clear(engine, &target).await?;
        let head = pairs(engine, &source, &target).await?;
        let filled = put_head(engine, &target, head.as_deref()).await?;
        if filled {
            self.store(to.as_str()).await
        } else {
            Err(not_empty())
        }
    }
}

fn not_empty() -> Error {
    Refusal::invalid("store_not_empty", "the store to copy to has ops of its own").into_error()
}

/// Removes what an attempt before has left.
async fn clear<E: Engine>(engine: &E, target: &Keyspace) -> Result<(), Error> {
    let (is_empty, _) = transact(engine, |transaction| async move {
        if transaction.get(target.head(), Isolation::Serializable).await?.is_some() {
            return Ok(false);
        }
        let format = transaction.get(target.format(), Isolation::Snapshot).await?;
        transaction.clear_range(&target.tenant().start, &target.tenant().end);
        if let Some(format) = format {
            transaction.set(target.format(), &format);
        }
        Ok::<_, dust_layer::Error>(true)
    })
    .await
    .map_err(of_read)?;
    if is_empty { Ok(()) } else { Err(not_empty()) }
}

/// Copies all but the head, which it gives back, from one state of the source.
async fn pairs<E: Engine>(engine: &E, source: &Keyspace, target: &Keyspace) -> Result<Option<Vec<u8>>, Error> {
    let state = engine.begin();
    let head = state.get(source.head(), Isolation::Snapshot).await.map_err(of_read)?;
    let end = &source.tenant().end;
    let (mut next, mut limit) = (Some(source.tenant().start.clone()), page::FIRST_ITEMS);
    while let Some(begin) = next {
        let copied = &state.get_range(read(&begin, end, limit)).await.map_err(of_read)?;
        transact(engine, |transaction| async move {
            for (key, value) in copied {
                let own = key.strip_prefix(source.prefix()).filter(|_| key != source.head());
                if let Some(own) = own {
                    transaction.set(&[target.prefix(), own].concat(), value);
                }
            }
            Ok::<_, dust_layer::Error>(())
        })
        .await
        .map_err(of_read)?;
        (next, limit) = page::after(copied);
    }
    Ok(head)
}

/// Makes the copy count; `false` if someone has written the store in the meantime.
async fn put_head<E: Engine>(engine: &E, target: &Keyspace, head: Option<&[u8]>) -> Result<bool, Error> {
    let (is_free, _) = transact(engine, |transaction| async move {
        let is_free = transaction.get(target.head(), Isolation::Serializable).await?.is_none();
        if let Some(head) = head.filter(|_| is_free) {
            transaction.set(target.head(), head);
        }
        Ok::<_, dust_layer::Error>(is_free)
    })
    .await
    .map_err(of_read)?;
    Ok(is_free)
}
