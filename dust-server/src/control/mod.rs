//! Organisations, stores, tokens with scopes and store grants: what the server itself has to remember.
//!
//! They are records of a Dust store of their own, `system/control`, in the same folder as the data: a record is a map at
//! `orgs/<slug>`, `stores/<id>` or `tokens/<id>`. No token belongs to the organisation `system`, so nobody reaches that store
//! over the wire. They are few and read by every request, so all of them are in memory; a change is in the store before it
//! is seen. What another node of the same database changes is seen as soon as its op arrives (`follow`).

mod follow;
mod scope;
mod store;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use dust_store::{AnyDatabase, Clock, Embedded, StoreName};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, Op, Path, Precondition, Value};
use dust_transport::transport::Transport as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::notice::Notice;

pub(crate) use follow::Following;
pub use scope::Scope;
pub use store::{Store, StoreStatus};
pub use token::{NewToken, TOKEN_PREFIX, Token};

/// The store of the control data.
pub(crate) const CONTROL_STORE: &str = "system/control";

/// The organisation of the server itself.
const SYSTEM_ORG: &str = "system";

/// Why the control data was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The organisation or the store has a name that none may have.
    #[error("{0:?} is no name for an organisation or a store")]
    InvalidName(String),
    /// The name is taken.
    #[error("{0:?} is there already")]
    Exists(String),
    /// There is no such organisation.
    #[error("there is no organisation {0:?}")]
    UnknownOrg(String),
    /// The operating system gave no random bytes for a token.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The control data could not be read or written.
    #[error("the control data failed")]
    Store(#[from] Error),
}

/// The control data of a server.
///
/// ```
/// use dust_server::{Config, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path().join("data");
/// let server = Server::open(Config::new(folder)).await?;
/// server.control().create_org("acme").await?;
/// let store = server.control().create_store("acme", "site", None).await?;
/// assert_eq!(store.full_name(), "acme/site");
/// assert_eq!(server.control().stores("acme"), [store]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Control {
    store: Embedded,
    clock: Clock,
    /// Raised when something has changed, by this node or another.
    notice: Arc<Notice>,
    /// Held by whoever changes something, from the check to the change in memory.
    changing: tokio::sync::Mutex<()>,
    state: RwLock<State>,
    last_used: Mutex<HashMap<Uuid, Timestamp>>,
}

#[derive(Debug, Default)]
struct State {
    orgs: BTreeMap<String, Org>,
    stores: BTreeMap<Uuid, Store>,
    /// By full name. Names are not used again, so an archived store keeps its own.
    stores_by_name: HashMap<String, Uuid>,
    tokens: BTreeMap<Uuid, Arc<Token>>,
    tokens_by_digest: HashMap<String, Uuid>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Org {
    inserted_at: Timestamp,
}

impl Control {
    /// Reads the control data, and follows what other nodes change as long as the second part is kept.
    pub(crate) async fn load(
        store: Embedded,
        clock: Clock,
        notice: Arc<Notice>,
    ) -> Result<(Arc<Self>, Following), Error> {
        let seq = store.head().await?;
        let state = load(&store).await?;
        let control = Arc::new(Self {
            store,
            clock,
            notice,
            changing: tokio::sync::Mutex::default(),
            state: RwLock::new(state),
            last_used: Mutex::default(),
        });
        let following = follow::follow(&control, seq).await?;
        Ok((control, following))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.clock.now_ms())
    }

    /// Whether there is no organisation yet: nobody has set up the server.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().orgs.is_empty()
    }

    /// Whether there is such an organisation.
    #[must_use]
    pub fn has_org(&self, org: &str) -> bool {
        self.read().orgs.contains_key(org)
    }

    /// Creates an organisation.
    ///
    /// # Errors
    /// `InvalidName`, `Exists` and `Store`.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it in the store and not in memory; it is there after a restart.
    pub async fn create_org(&self, slug: &str) -> Result<(), ControlError> {
        let changing = self.changing.lock().await;
        if slug == SYSTEM_ORG || StoreName::parse(&format!("{slug}/x")).is_err() {
            return Err(ControlError::InvalidName(slug.to_owned()));
        }
        if self.has_org(slug) {
            return Err(ControlError::Exists(slug.to_owned()));
        }
        let org = Org {
            inserted_at: self.now(),
        };
        let path = record_path("orgs", slug)?;
        // Another node may be creating it, too.
        let nothing = Precondition::Subtree {
            root: path.clone(),
            leaves: Vec::new(),
        };
        let op = Op::set(path, Value::from_serialize(&org).map_err(Error::from)?).when(nothing);
        self.put_new(op.into(), slug).await?;
        self.write(|state| state.orgs.insert(slug.to_owned(), org));
        drop(changing);
        Ok(())
    }

    /// Creates a store, which ends after `ttl_seconds` if they are given.
    ///
    /// # Errors
    /// `InvalidName`, `Exists`, `UnknownOrg` and `Store`.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it in the store and not in memory; it is there after a restart.
    pub async fn create_store(&self, org: &str, name: &str, ttl_seconds: Option<u64>) -> Result<Store, ControlError> {
        let changing = self.changing.lock().await;
        self.check_new(org, name)?;
        let store = self.add_store(Store::new(org, name, self.now(), ttl_seconds)).await?;
        drop(changing);
        Ok(store)
    }

    /// Creates a store with the data of another. It is not seen before it has all of them, and nothing else is changed
    /// meanwhile.
    pub(crate) async fn clone_store(
        &self,
        org: &str,
        name: &str,
        source: &str,
        database: &AnyDatabase,
    ) -> Result<Store, ControlError> {
        let changing = self.changing.lock().await;
        self.check_new(org, name)?;
        let store = Store::new(org, name, self.now(), None);
        database.copy(source, &store.full_name()).await?;
        let store = self.add_store(store).await?;
        drop(changing);
        Ok(store)
    }

    /// Whether a store may be created under this name.
    fn check_new(&self, org: &str, name: &str) -> Result<(), ControlError> {
        if !self.has_org(org) {
            return Err(ControlError::UnknownOrg(org.to_owned()));
        }
        let full_name = format!("{org}/{name}");
        if StoreName::parse(&full_name).is_err() {
            return Err(ControlError::InvalidName(full_name));
        }
        if self.read().stores_by_name.contains_key(&full_name) {
            return Err(ControlError::Exists(full_name));
        }
        Ok(())
    }

    async fn add_store(&self, store: Store) -> Result<Store, ControlError> {
        let id = store.id.to_string();
        // The name is claimed in the same batch, since another node may be giving it away, too.
        let name = Path::new(["names", &store.org, &store.name]).map_err(Error::from)?;
        let name = Op::set(name, id.as_str()).when(Precondition::Absent);
        let record = Op::set(
            record_path("stores", &id)?,
            Value::from_serialize(&store).map_err(Error::from)?,
        );
        self.put_new(Batch::new([name, record]), &store.full_name()).await?;
        self.write(|state| state.add_store(store.clone()));
        Ok(store)
    }

    /// Archives a store: it can no longer be reached, and its name stays taken. `None` if there is no such active store.
    ///
    /// # Errors
    /// `Store`.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it archived in the store and not in memory; it is after a restart.
    pub async fn archive_store(&self, id: Uuid) -> Result<Option<Store>, ControlError> {
        let changing = self.changing.lock().await;
        let found = self.read().stores.get(&id).cloned();
        let Some(mut store) = found.filter(|store| store.is_active(self.now())) else {
            return Ok(None);
        };
        store.status = StoreStatus::Archived;
        self.put("stores", &id.to_string(), &store).await?;
        self.write(|state| state.add_store(store.clone()));
        drop(changing);
        Ok(Some(store))
    }

    /// The active stores of an organisation, by name.
    #[must_use]
    pub fn stores(&self, org: &str) -> Vec<Store> {
        let now = self.now();
        let state = self.read();
        let found = state
            .stores
            .values()
            .filter(|store| store.org == org && store.is_active(now));
        let mut stores: Vec<Store> = found.cloned().collect();
        stores.sort_by(|a, b| a.name.cmp(&b.name));
        stores
    }

    /// The active store of this name.
    #[must_use]
    pub fn store(&self, org: &str, name: &str) -> Option<Store> {
        let state = self.read();
        let id = state.stores_by_name.get(&format!("{org}/{name}"))?;
        let store = state.stores.get(id)?;
        store.is_active(self.now()).then(|| store.clone())
    }

    /// The active store of this id.
    #[must_use]
    pub fn store_by_id(&self, id: Uuid) -> Option<Store> {
        let store = self.read().stores.get(&id).cloned();
        store.filter(|store| store.is_active(self.now()))
    }

    /// Whether there is an active store of this id.
    pub(crate) fn is_active(&self, id: Uuid) -> bool {
        let (state, now) = (self.read(), self.now());
        state.stores.get(&id).is_some_and(|store| store.is_active(now))
    }

    /// How many active stores and how many tokens there are.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let (state, now) = (self.read(), self.now());
        let stores = state.stores.values().filter(|store| store.is_active(now)).count();
        (stores, state.tokens.len())
    }

    /// Creates a token, and gives its secret, which is kept nowhere.
    ///
    /// # Errors
    /// `UnknownOrg`, `NoRandomness` and `Store`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves a token that nobody knows.
    pub async fn create_token(&self, new: NewToken) -> Result<(Arc<Token>, String), ControlError> {
        let changing = self.changing.lock().await;
        if !self.has_org(&new.org) {
            return Err(ControlError::UnknownOrg(new.org));
        }
        let (token, secret) = token::issue(new, self.now())?;
        self.put("tokens", &token.id.to_string(), &token).await?;
        let token = self.write(|state| state.add_token(token));
        drop(changing);
        Ok((token, secret))
    }

    /// Revokes a token; `false` if there is none of this id.
    ///
    /// # Errors
    /// `Store`.
    ///
    /// # Cancel safety
    /// Dropping the future may leave it revoked in the store and not in memory; it is after a restart.
    pub async fn revoke_token(&self, id: Uuid) -> Result<bool, ControlError> {
        let changing = self.changing.lock().await;
        if self.token(id).is_none() {
            return Ok(false);
        }
        self.store
            .write(Op::delete(record_path("tokens", &id.to_string())?).into())
            .await?;
        self.write(|state| state.remove_token(id));
        self.uses().remove(&id);
        drop(changing);
        Ok(true)
    }

    /// The tokens of an organisation, the oldest first.
    #[must_use]
    pub fn tokens(&self, org: &str) -> Vec<Arc<Token>> {
        let state = self.read();
        state
            .tokens
            .values()
            .filter(|token| token.org == org)
            .cloned()
            .collect()
    }

    /// The token of this id.
    #[must_use]
    pub fn token(&self, id: Uuid) -> Option<Arc<Token>> {
        self.read().tokens.get(&id).cloned()
    }

    /// The token of a secret; `None` if it is unknown, revoked or has ended.
    #[must_use]
    pub fn authenticate(&self, secret: &str) -> Option<Arc<Token>> {
        if !secret.starts_with(TOKEN_PREFIX) {
            return None;
        }
        let digest = token::digest_of(secret);
        let (state, now) = (self.read(), self.now());
        // What the map compares is a hash of what was sent; how long that takes says nothing of any secret.
        let token = state.tokens.get(state.tokens_by_digest.get(&digest)?)?;
        if !token.is(&digest) || !token.is_live(now) {
            return None;
        }
        self.uses().insert(token.id, now);
        Some(Arc::clone(token))
    }

    /// When a token was used last since the server was started.
    #[must_use]
    pub fn last_used_at(&self, id: Uuid) -> Option<Timestamp> {
        self.uses().get(&id).copied()
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<Uuid, Timestamp>> {
        // Single inserts: nothing is half done when the lock is released.
        self.last_used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put<T: Serialize + Sync>(&self, kind: &str, id: &str, record: &T) -> Result<(), Error> {
        let value = Value::from_serialize(record)?;
        self.store.write(Op::set(record_path(kind, id)?, value).into()).await?;
        Ok(())
    }

    /// Writes what must not be there yet.
    async fn put_new(&self, batch: Batch, what: &str) -> Result<(), ControlError> {
        match self.store.write(batch).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => Err(ControlError::Exists(what.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // A change is a few inserts that cannot panic.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
        self.notice.raise();
        changed
    }
}

impl State {
    fn add_store(&mut self, store: Store) {
        self.stores_by_name.insert(store.full_name(), store.id);
        self.stores.insert(store.id, store);
    }

    fn remove_token(&mut self, id: Uuid) {
        if let Some(token) = self.tokens.remove(&id) {
            self.tokens_by_digest.remove(token.digest());
        }
    }

    fn add_token(&mut self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        self.tokens_by_digest.insert(token.digest().to_owned(), token.id);
        self.tokens.insert(token.id, Arc::clone(&token));
        token
    }
}

fn record_path(kind: &str, id: &str) -> Result<Path, Error> {
    Ok(Path::new([kind, id])?)
}

/// Everything that the control store holds now.
async fn load(store: &Embedded) -> Result<State, Error> {
    let mut state = State {
        orgs: records(store, "orgs").await?,
        ..State::default()
    };
    for record in records::<Uuid, Store>(store, "stores").await?.into_values() {
        state.add_store(record);
    }
    for record in records::<Uuid, Token>(store, "tokens").await?.into_values() {
        state.add_token(record);
    }
    Ok(state)
}

/// All records of a kind.
async fn records<K, T>(store: &Embedded, kind: &str) -> Result<BTreeMap<K, T>, Error>
where
    K: DeserializeOwned + Ord,
    T: DeserializeOwned,
{
    match store.get(&Path::parse(kind)?).await? {
        Some(entry) => Ok(entry.value.to()?),
        None => Ok(BTreeMap::new()),
    }
}
