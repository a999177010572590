//! The folder of a store: its files, its lock, and what is ours.
//!
//! | file | holds |
//! |---|---|
//! | `LOCK` | nothing; locked while the store is open |
//! | `FORMAT` | what the folder is and in which version, written last |
//! | `data.redb` | the data |
//!
//! Files named `*.new` are those of a creation under way. A folder without `FORMAT` was never used, so a creation that
//! a crash cut short is started over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The version of the folder's format.
pub(super) const FORMAT: u32 = 1;
const FORMAT_MAGIC: &str = "dust-layer disk format ";

const LOCK_FILE: &str = "LOCK";
const FORMAT_FILE: &str = "FORMAT";
const FORMAT_NEW_FILE: &str = "FORMAT.new";
const DATA_FILE: &str = "data.redb";
const DATA_NEW_FILE: &str = "data.redb.new";
const OWN_FILES: [&str; 5] = [LOCK_FILE, FORMAT_FILE, FORMAT_NEW_FILE, DATA_FILE, DATA_NEW_FILE];

/// An open folder. It stays locked until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    has_format: bool,
    lock: File,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that is being started has a copy of the file until it runs, which closing ours would leave locked. If this
        // fails, closing is what is left.
        let _ = self.lock.unlock();
    }
}

impl Folder {
    /// Opens the folder, checks that it is ours and locks it; fills an empty one with the data file that `create`
    /// writes.
    pub(super) fn open(path: &Path, create: impl FnOnce(File) -> Result<(), Error>) -> Result<Self, Error> {
        fs::create_dir_all(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => Error::Foreign { path: path.into() },
            _ => Error::Io {
                doing: "create the folder",
                source,
            },
        })?;
        // Checked before anything is written, so that a folder of something else stays as it is.
        if !check_format(path)? {
            check_own(path)?;
        }
        let lock = lock(path)?;
        let folder = Self {
            path: path.to_owned(),
            has_format: check_format(path)?,
            lock,
        };
        if !folder.has_format {
            folder.fill(create)?;
        }
        Ok(folder)
    }

    /// Whether the folder was ours before it was opened.
    pub(super) fn has_format(&self) -> bool {
        self.has_format
    }

    /// Declares the folder ours, once its data has turned out to be.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if !self.has_format {
            self.write_format()?;
            self.has_format = true;
        }
        Ok(())
    }

    pub(super) fn foreign(&self) -> Error {
        Error::Foreign {
            path: self.path.clone().into(),
        }
    }

    /// Opens the data file of a folder that has been filled.
    pub(super) fn open_data(&self) -> Result<File, Error> {
        let file = match OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path.join(DATA_FILE))
        {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::corrupt("data file is missing"));
            }
            Err(source) => {
                return Err(Error::Io {
                    doing: "open the data file",
                    source,
                });
            }
        };
        // redb would take an empty file for a new one.
        if file
            .metadata()
            .map_err(Error::io("read the size of the data file"))?
            .len()
            == 0
        {
            return Err(Error::corrupt("data file is empty"));
        }
        Ok(file)
    }

    fn fill(&self, create: impl FnOnce(File) -> Result<(), Error>) -> Result<(), Error> {
        let file = |name| self.path.join(name);
        let doing = "create the data file";
        if fs::exists(file(DATA_FILE)).map_err(Error::io(doing))? {
            // Either a creation was cut short here or `FORMAT` was lost. Both look the same, so nothing is overwritten:
            // the folder is declared ours once the data has been opened.
            return Ok(());
        }
        let data = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(file(DATA_NEW_FILE))
            .map_err(Error::io(doing))?;
        create(data)?;
        fs::rename(file(DATA_NEW_FILE), file(DATA_FILE)).map_err(Error::io(doing))?;
        self.sync().map_err(Error::io(doing))
    }

    fn write_format(&self) -> Result<(), Error> {
        let write = || {
            let path = self.path.join(FORMAT_NEW_FILE);
            let mut file = File::create(&path)?;
            file.write_all(format!("{FORMAT_MAGIC}{FORMAT}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(path, self.path.join(FORMAT_FILE))?;
            self.sync()
        };
        write().map_err(Error::io("write the format file"))
    }

    /// Makes renames in the folder durable.
    fn sync(&self) -> io::Result<()> {
        // Other systems cannot open a folder, and order renames by themselves.
        if cfg!(unix) {
            File::open(&self.path)?.sync_all()
        } else {
            Ok(())
        }
    }
}

/// Whether the folder says that it is ours; fails if it says something else.
fn check_format(path: &Path) -> Result<bool, Error> {
    let file = path.join(FORMAT_FILE);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            return Err(Error::Io {
                doing: "read the format file",
                source,
            });
        }
    };
    let version = str::from_utf8(&text)
        .ok()
        .and_then(|text| text.strip_prefix(FORMAT_MAGIC)?.strip_suffix('\n')?.parse::<u32>().ok());
    match version {
        Some(FORMAT) => Ok(true),
        Some(found) => Err(Error::Format {
            found,
            supported: FORMAT,
        }),
        None => Err(Error::Foreign { path: file.into() }),
    }
}

/// Fails if a folder without a format holds anything that a creation of ours would not leave.
fn check_own(path: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(path).map_err(Error::io("list the folder"))? {
        let name = entry.map_err(Error::io("list the folder"))?.file_name();
        if !OWN_FILES.iter().any(|own| name == *own) {
            return Err(Error::Foreign { path: path.into() });
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, Error> {
    let doing = "lock the folder";
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path.join(LOCK_FILE))
        .map_err(Error::io(doing))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: path.into() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { doing, source }),
    }
}
