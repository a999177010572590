//! Indexes and queries, on servers that have them.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::Http;
use super::body::{EntryBody, path_of, read, write};
use super::exchange::{Effect, Request};
use crate::error::{Error, ErrorKind};
use crate::model::Extension;
use crate::query::{Cursor, FoundRecord, IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};

#[derive(Deserialize)]
struct IndexesBody {
    indexes: Vec<IndexStatus>,
}

#[derive(Deserialize)]
struct DroppedBody {
    dropped: bool,
}

#[derive(Serialize)]
struct RecordsBody<'a> {
    changes: &'a [RecordChange],
}

#[derive(Deserialize)]
struct QueryPageBody<'a> {
    #[serde(borrow)]
    records: Vec<RecordBody<'a>>,
    next: Option<Cursor>,
}

#[derive(Deserialize)]
struct RecordBody<'a> {
    path: String,
    #[serde(borrow)]
    entries: Vec<EntryBody<'a>>,
}

impl Http {
    /// Refuses what the server does not know, in its own words rather than by what it answers.
    async fn needs_queries(&self) -> Result<(), Error> {
        if self.extensions().await.contains(Extension::Queries) {
            return Ok(());
        }
        let detail = "this server has no indexes and no queries";
        Err(Error::new(ErrorKind::NotSupported, "not_supported", detail))
    }

    async fn needs_index_only_records(&self) -> Result<(), Error> {
        if self.extensions().await.contains(Extension::IndexOnlyRecords) {
            return Ok(());
        }
        let detail = "this server has no records that live only in their indexes";
        Err(Error::new(ErrorKind::NotSupported, "not_supported", detail))
    }

    async fn answered(&self, request: Request) -> Result<Vec<u8>, Error> {
        let answer = self.inner.exchange.send(request).await?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    pub(super) async fn list_indexes(&self) -> Result<Vec<IndexStatus>, Error> {
        self.needs_queries().await?;
        let request = Request::read(Method::GET, self.inner.address.of_store("/indexes")?);
        Ok(read::<IndexesBody>(&self.answered(request).await?)?.indexes)
    }

    /// A change of an index; done twice it is done once.
    async fn change_index(&self, method: Method, definition: &IndexDefinition) -> Result<Vec<u8>, Error> {
        self.needs_queries().await?;
        let mut request = Request::write(method, self.inner.address.of_store("/indexes")?).json(write(definition)?);
        request.effect = Effect::Settled;
        self.answered(request).await
    }

    pub(super) async fn ensure_one_index(&self, definition: &IndexDefinition) -> Result<IndexStatus, Error> {
        self.needs_queries().await?;
        if definition.is_index_only() {
            self.needs_index_only_records().await?;
        }
        let has_options = definition.is_covering() || definition.is_unique();
        if has_options && !self.extensions().await.contains(Extension::IndexOptions) {
            let detail = "this server has no unique and no covering indexes";
            return Err(Error::new(ErrorKind::NotSupported, "not_supported", detail));
        }
        read(&self.change_index(Method::POST, definition).await?)
    }

    /// Done twice it is done once.
    pub(super) async fn change_records(&self, changes: &[RecordChange]) -> Result<(), Error> {
        self.needs_index_only_records().await?;
        let body = write(&RecordsBody { changes })?;
        let mut request = Request::write(Method::POST, self.inner.address.of_store("/records")?).json(body);
        request.effect = Effect::Settled;
        self.answered(request).await.map(drop)
    }

    pub(super) async fn drop_one_index(&self, definition: &IndexDefinition) -> Result<bool, Error> {
        Ok(read::<DroppedBody>(&self.change_index(Method::DELETE, definition).await?)?.dropped)
    }

    pub(super) async fn query_page(&self, query: &IndexQuery) -> Result<QueryPage, Error> {
        query.check()?;
        self.needs_queries().await?;
        let request = Request::read(Method::POST, self.inner.address.of_store("/query")?).json(write(query)?);
        let body = self.answered(request).await?;
        let body: QueryPageBody<'_> = read(&body)?;
        let record = |record: RecordBody<'_>| {
            Ok(FoundRecord {
                path: path_of(&record.path)?,
                entries: record
                    .entries
                    .into_iter()
                    .map(|entry| entry.into_entry(None))
                    .collect::<Result<_, _>>()?,
            })
        };
        Ok(QueryPage {
            records: body.records.into_iter().map(record).collect::<Result<_, Error>>()?,
            next: body.next,
        })
    }
}
