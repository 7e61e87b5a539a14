//! A SQLite database of ours: how it is made, recognised and opened, and connections for reading it.
//!
//! A new one is complete before it gets its name, so nobody finds half of it, and of two processes that make it at the
//! same time one wins. The file is only ever opened by SQLite: whoever closes another descriptor of it takes the
//! locks of every connection of this process with it (POSIX).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::random;

/// How long another process's transaction is waited for.
const BUSY: Duration = Duration::from_secs(10);
/// The writer writes the write-ahead log back; SQLite itself steps in at this many pages (64 MiB).
const CHECKPOINT_PAGES: u32 = 16_384;
/// What that leaves of the write-ahead log's file: 32 MiB.
const WAL_KEPT: u32 = 32 * 1024 * 1024;
/// Connections for reading that are kept open: more readers at once open and close their own.
const IDLE_READERS: usize = 4;

/// What a database is.
#[derive(Debug)]
pub(crate) struct Kind {
    /// In a sentence: "it is no …".
    pub(crate) noun: &'static str,
    /// Where SQLite's header has it: `file(1)` and we can tell whose database this is.
    pub(crate) application_id: i32,
    /// The schema version that this program writes and reads.
    pub(crate) version: i32,
    /// The statements that make it.
    pub(crate) schema: &'static str,
    /// The writer's page cache in KiB.
    pub(crate) cache_kib: i32,
}

/// Why one could not be opened. It was left as it was.
#[derive(Debug, thiserror::Error)]
#[error("could not {what} {}: {why}", path.display())]
pub(crate) struct DatabaseError {
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) why: Why,
}

/// Who says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Why {
    #[error(transparent)]
    System(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Foreign(String),
}

impl DatabaseError {
    fn new(what: &'static str, path: &Path, why: impl Into<Why>) -> Self {
        Self { what, path: path.to_owned(), why: why.into() }
    }
}

/// Opens the database at `path` for writing and makes it if nothing is there.
pub(crate) fn open(kind: &Kind, path: &Path) -> Result<Connection, DatabaseError> {
    if !path.try_exists().map_err(|error| DatabaseError::new("look at", path, error))? {
        create(kind, path)?;
    }
    let connection = connect(kind, path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let set_up = || {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
        connection.pragma_update(None, "cache_size", -kind.cache_kib)
    };
    set_up().map_err(|error| DatabaseError::new("open", path, error))?;
    Ok(connection)
}

/// Connections for reading one, from this or any other process.
#[derive(Debug)]
pub(crate) struct Readers {
    kind: &'static Kind,
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(kind: &'static Kind, path: PathBuf) -> Self {
        Self { kind, path, idle: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on a connection.
    pub(crate) fn with<T, E: From<DatabaseError>>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = idle().pop();
        let connection = connection.map_or_else(|| reader(self.kind, &self.path), Ok)?;
        let result = read(&connection);
        let mut idle = idle();
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        result
    }
}

fn reader(kind: &Kind, path: &Path) -> Result<Connection, DatabaseError> {
    let connection = connect(kind, path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| DatabaseError::new("open", path, error))?;
    Ok(connection)
}

fn connect(kind: &Kind, path: &Path, mode: OpenFlags) -> Result<Connection, DatabaseError> {
    let failed = |error: rusqlite::Error| DatabaseError::new("open", path, error);
    let set_up = || {
        let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        // What is refused below stays as it is, its write-ahead log too.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let (id, version) = (pragma("application_id")?, pragma("user_version")?);
        Ok((connection, id, version))
    };
    let (connection, id, version) = set_up().map_err(failed)?;
    let Kind { noun, application_id, version: expected, .. } = kind;
    if id != *application_id {
        let what = format!("it is no {noun} (application id {id:#010x}, expected {application_id:#010x})");
        return Err(DatabaseError::new("open", path, Why::Foreign(what)));
    }
    if version != *expected {
        let what = format!("its schema version is {version}, expected {expected}");
        return Err(DatabaseError::new("open", path, Why::Foreign(what)));
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(failed)?;
    Ok(connection)
}

fn create(kind: &Kind, path: &Path) -> Result<(), DatabaseError> {
    // Beside it, under a name that nobody else uses.
    let mut new = path.as_os_str().to_owned();
    new.push(format!("{NEW}{}", random::hex::<8>()));
    let new = PathBuf::from(new);
    let made = create_at(kind, &new).and_then(|()| {
        let linked = File::open(&new).and_then(|file| file.sync_all()).and_then(|()| fs::hard_link(&new, path));
        match linked {
            // Another process was faster; its database is as good.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked.and_then(|()| File::open(folder_of(path))?.sync_all()),
        }
        .map_err(|error| DatabaseError::new("create", path, error))
    });
    let removed = fs::remove_file(&new);
    made.and_then(|()| removed.map_err(|error| DatabaseError::new("remove", &new, error)))
}

/// What the name of a database that is being made has behind its own.
pub(crate) const NEW: &str = "-new-";

/// The folder that a file lies in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn create_at(kind: &Kind, path: &Path) -> Result<(), DatabaseError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| DatabaseError::new("create", path, error))?;
    let made = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
        // Nothing is waited for: the whole file is synced before it gets its name.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "application_id", kind.application_id)?;
        connection.execute_batch(kind.schema)?;
        connection.pragma_update(None, "user_version", kind.version)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
    });
    made.map_err(|error| DatabaseError::new("create", path, error))
}
