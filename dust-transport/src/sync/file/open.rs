//! Opening a file: made if it is not there, checked before anything in it changes, and read into memory.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path as FilePath;
use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, ReadableTable as _, TableError};
use tokio::sync::watch;

use super::format::{LEAVES, META, Row, SENT, VERSION, WRITES, key, leaf_of};
use super::{File, Progress, Queue, writer};
use crate::error::{Error, ErrorKind};
use crate::http::HttpOptions;
use crate::model::{DeviceId, OpId, Seq};
use crate::sync::replica::Replica;

/// What pages of the file may take of the memory. It is read once, from one end to the other.
const CACHE_BYTES: usize = 8 << 20;

/// What every redb file begins with.
const MAGIC: [u8; 4] = *b"redb";

/// Whose replica a file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Identity {
    server: String,
    store: String,
}

/// What was in a file, and the file, open.
#[derive(Debug)]
pub(in super::super) struct Loaded {
    pub(in super::super) file: File,
    pub(in super::super) device: DeviceId,
    pub(in super::super) replica: Replica,
    pub(in super::super) applied: Seq,
    /// The replica has been whole.
    pub(in super::super) is_whole: bool,
    /// What the server could do at the last join.
    pub(in super::super) extensions: Vec<String>,
    /// Which store it was then, if the server told it.
    pub(in super::super) store_id: Option<String>,
    /// The writes that are not settled, by number, and whether they may have been sent.
    pub(in super::super) writes: Vec<(u64, Row, bool)>,
}

/// What a file says of itself.
pub(super) struct Meta {
    device: DeviceId,
    pub(super) applied: Seq,
    is_whole: bool,
    extensions: Vec<String>,
    store_id: Option<String>,
}

impl Identity {
    pub(in super::super) fn of(options: &HttpOptions) -> Self {
        Self {
            server: options.base_url.trim().trim_end_matches('/').to_owned(),
            store: options.store.trim().to_owned(),
        }
    }
}

/// Opens a file, or makes it. Blocks while it is read.
pub(in super::super) fn open(path: &FilePath, identity: &Identity, device: Option<&DeviceId>) -> Result<Loaded, Error> {
    if !fs::exists(path).map_err(|error| storage(path, error))? {
        create(path, identity, device)?;
    }
    let mut magic = Vec::new();
    let file = fs::File::open(path).map_err(|error| storage(path, error))?;
    let read = file.take(MAGIC.len() as u64).read_to_end(&mut magic);
    read.map_err(|error| storage(path, error))?;
    if magic.is_empty() {
        return Err(corrupt(path, "it is empty"));
    }
    if magic != MAGIC {
        return Err(foreign(path));
    }
    uninterrupted(path, || {
        // A file of something else is not to be touched. One that was left open can only be recovered.
        match builder(false).open_read_only(path) {
            Ok(database) => drop(read_meta(&database, path, identity)?),
            Err(redb::DatabaseError::RepairAborted) => {}
            Err(error) => return Err(refused(path, error)),
        }
        let database = builder(true).open(path).map_err(|error| refused(path, error))?;
        load(database, path, identity, device)
    })
}

/// Reads what a database has, and starts the thread that writes to it.
pub(super) fn load(
    database: Database,
    path: &FilePath,
    identity: &Identity,
    chosen: Option<&DeviceId>,
) -> Result<Loaded, Error> {
    let meta = read_meta(&database, path, identity)?;
    let (replica, writes) = read_content(&database, path)?;
    let mut device = meta.device;
    if let Some(chosen) = chosen.filter(|chosen| **chosen != device) {
        // An op id counts for its device: under another, what was sent would be committed again.
        if !writes.is_empty() {
            let detail = format!(
                "the file {} has writes of the device {device} that are not settled",
                path.display()
            );
            return Err(Error::new(ErrorKind::InvalidParams, "other_device", detail));
        }
        device = chosen.clone();
        put_device(&database, &device).map_err(|error| storage(path, error))?;
    }
    let (queue, sender) = (Arc::new(Queue::default()), watch::Sender::new(Progress::default()));
    let file = File {
        queue: Arc::clone(&queue),
        progress: sender.subscribe(),
    };
    let thread = std::thread::Builder::new().name("dust-sync-file".to_owned());
    let spawned = thread.spawn(move || writer::run(database, &queue, &sender));
    spawned.map_err(|error| storage(path, error))?;
    Ok(Loaded {
        file,
        device,
        replica,
        applied: meta.applied,
        is_whole: meta.is_whole,
        extensions: meta.extensions,
        store_id: meta.store_id,
        writes,
    })
}

fn builder(check: bool) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check);
    builder
}

/// Makes a file that has no leaves. It gets its name when it is whole, and takes nobody's.
fn create(path: &FilePath, identity: &Identity, device: Option<&DeviceId>) -> Result<(), Error> {
    let failed = |error| storage(path, error);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let made = path.with_file_name(format!("{name}.{}.new", OpId::random()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&made);
    let created = file.map_err(redb::Error::from).and_then(|file| {
        let backend = redb::backends::FileBackend::new(file)?;
        let database = builder(false).create_with_backend(backend)?;
        initialise(&database, identity, device)?;
        Ok(database.close()?)
    });
    let named = created.map_err(|error| storage(path, error)).and_then(|()| {
        match fs::hard_link(&made, path) {
            // Another has made it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has links.
            Err(_) => fs::rename(&made, path).map_err(failed),
            Ok(()) => Ok(()),
        }
    });
    // Best effort: it is gone if it was renamed, and of no harm if it stays.
    let _ = fs::remove_file(&made);
    named?;
    // Other systems cannot open a folder, and order its entries by themselves.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = fs::File::open(folder.unwrap_or(FilePath::new("."))).map_err(failed)?;
        folder.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Declares an empty database the file of a store.
pub(super) fn initialise(
    database: &Database,
    identity: &Identity,
    device: Option<&DeviceId>,
) -> Result<(), redb::Error> {
    let device = device.cloned().unwrap_or_else(DeviceId::random);
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        let entries = [
            (key::FORMAT, VERSION),
            (key::SERVER, &identity.server),
            (key::STORE, &identity.store),
            (key::DEVICE, device.as_str()),
            (key::APPLIED, "0"),
            (key::WHOLE, "no"),
            (key::EXTENSIONS, ""),
        ];
        for (key, value) in entries {
            meta.insert(key, value)?;
        }
        transaction.open_table(LEAVES)?;
        transaction.open_table(WRITES)?;
        transaction.open_table(SENT)?;
    }
    transaction.commit()?;
    Ok(())
}

fn put_device(database: &Database, device: &DeviceId) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(key::DEVICE, device.as_str())?;
    transaction.commit()?;
    Ok(())
}

pub(super) fn read_meta(database: &impl ReadableDatabase, path: &FilePath, identity: &Identity) -> Result<Meta, Error> {
    let failed = |error: redb::Error| refused(path, error);
    let transaction = database.begin_read().map_err(|error| failed(error.into()))?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(failed(error.into())),
        Err(_) => return Err(foreign(path)),
    };
    let find = |key: &str| -> Result<Option<String>, Error> {
        let found = table.get(key).map_err(|error| failed(error.into()))?;
        Ok(found.map(|found| found.value().to_owned()))
    };
    match find(key::FORMAT)?.as_deref() {
        Some(VERSION) => {}
        Some(version) => {
            let detail = format!("{} has format {version}, and not {VERSION}", path.display());
            return Err(Error::new(ErrorKind::Format, "format", detail));
        }
        None => return Err(foreign(path)),
    }
    let missing = || corrupt(path, "it does not say what it holds");
    let expect = |key: &str| find(key)?.ok_or_else(missing);
    let (server, store) = (expect(key::SERVER)?, expect(key::STORE)?);
    if (&server, &store) != (&identity.server, &identity.store) {
        let detail = format!("{} is of the store {store} at {server}", path.display());
        return Err(Error::new(ErrorKind::Format, "other_store", detail));
    }
    let extensions = expect(key::EXTENSIONS)?;
    let extensions = extensions.split(',').filter(|name| !name.is_empty());
    Ok(Meta {
        device: DeviceId::new(expect(key::DEVICE)?).map_err(|_| missing())?,
        applied: Seq(expect(key::APPLIED)?.parse().map_err(|_| missing())?),
        is_whole: expect(key::WHOLE)? == "yes",
        extensions: extensions.map(str::to_owned).collect(),
        store_id: find(key::STORE_ID)?,
    })
}

/// The leaves, and the writes by number.
pub(super) type Content = (Replica, Vec<(u64, Row, bool)>);

pub(super) fn read_content(database: &Database, path: &FilePath) -> Result<Content, Error> {
    let read = || -> Result<Option<Content>, redb::Error> {
        let transaction = database.begin_read()?;
        let (mut leaves, mut writes) = (Vec::new(), Vec::new());
        for leaf in transaction.open_table(LEAVES)?.iter()? {
            let (path, text) = leaf?;
            let Some(leaf) = leaf_of(path.value(), text.value()) else {
                return Ok(None);
            };
            leaves.push(leaf);
        }
        let sent = transaction.open_table(SENT)?;
        for write in transaction.open_table(WRITES)?.iter()? {
            let (number, text) = write?;
            let Some(row) = Row::of(text.value()) else {
                return Ok(None);
            };
            let is_sent = sent.get(number.value())?.is_some();
            writes.push((number.value(), row, is_sent));
        }
        Ok(Some((leaves.into_iter().collect(), writes)))
    };
    match read() {
        Ok(Some(content)) => Ok(content),
        Ok(None) => Err(corrupt(path, "a leaf or a write in it is not readable")),
        Err(redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }) => {
            Err(corrupt(path, "a table is missing"))
        }
        Err(error) => Err(refused(path, error)),
    }
}

/// Runs `open`, which a file that something else has altered may make panic.
fn uninterrupted(path: &FilePath, open: impl FnOnce() -> Result<Loaded, Error>) -> Result<Loaded, Error> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(corrupt(path, "it cannot be interpreted")))
}

fn storage(path: &FilePath, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    let detail = format!("the file {} cannot be used", path.display());
    Error::new(ErrorKind::Storage, "storage", detail).with_source(source)
}

fn corrupt(path: &FilePath, what: &str) -> Error {
    let detail = format!("the file {} is damaged: {what}", path.display());
    Error::new(ErrorKind::Corrupt, "corrupt", detail)
}

fn foreign(path: &FilePath) -> Error {
    let detail = format!("{} is not the file of a synced store", path.display());
    Error::new(ErrorKind::Format, "format", detail)
}

/// Chooses the kind of an error for a file that does not open or read; the only place that does.
fn refused(path: &FilePath, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            let detail = format!("the file {} is in use", path.display());
            Error::new(ErrorKind::Locked, "locked", detail)
        }
        redb::Error::Corrupted(what) => corrupt(path, &what),
        redb::Error::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) => {
            corrupt(path, &error.to_string())
        }
        redb::Error::UpgradeRequired(version) => {
            let detail = format!("{} is of version {version} of its engine", path.display());
            Error::new(ErrorKind::Format, "format", detail)
        }
        error => storage(path, error),
    }
}
