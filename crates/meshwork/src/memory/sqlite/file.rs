//! The database: how it is made, recognised and opened.
//!
//! A new one is complete before it gets its name, so nobody finds half of it, and of two processes that make it at the
//! same time one wins. The file is only ever opened by SQLite: whoever closes another descriptor of it takes the
//! locks of every connection of this process with it (POSIX).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::memory::MemoryError;

/// "MesM", where SQLite's header has it: `file(1)` and we can tell whose database this is.
const APPLICATION_ID: i32 = 0x4D65_734D;
/// The schema version that this program writes and reads.
const VERSION: i32 = 2;

/// An entry's number gives its place in time too: the writer never lets the clock go back (`Writer::remember`). So
/// one order serves the table, the index, the filters by time and the answers. In the index that order is turned round
/// ([`place_of`]): what is asked for first comes first, and full-text search goes forward twice as fast as backward.
///
/// The index holds each token once an entry and nothing else: no positions, no columns, no copy of the content.
const SCHEMA: &str = "
    CREATE TABLE entry (
        number INTEGER PRIMARY KEY,
        swarm TEXT NOT NULL,
        public INTEGER NOT NULL,
        private INTEGER NOT NULL,
        author TEXT NOT NULL,
        kind TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        metadata TEXT NOT NULL,
        content TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entry_time ON entry (timestamp);
    CREATE VIRTUAL TABLE found USING fts5 (tokens, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
    CREATE TABLE peer (
        swarm TEXT NOT NULL,
        id TEXT NOT NULL,
        load REAL NOT NULL,
        state TEXT,
        PRIMARY KEY (swarm, id)
    ) STRICT, WITHOUT ROWID;
";

/// The place of number 0 in the index: 3 * 10^10, which the index writes in five bytes, and later ones in less than ten.
const LAST_PLACE: i64 = (1 << 35) - 1;

/// The place in the index of an entry's number, and the number of a place: the later, the smaller.
pub(super) const fn place_of(number: i64) -> i64 {
    LAST_PLACE.saturating_sub(number)
}

/// How long another process's transaction is waited for.
const BUSY: Duration = Duration::from_secs(10);
/// The writer writes the write-ahead log back; SQLite itself steps in at this many pages (64 MiB).
const CHECKPOINT_PAGES: u32 = 16_384;
/// What that leaves of the write-ahead log's file: 32 MiB.
const WAL_KEPT: u32 = 32 * 1024 * 1024;
/// The writer's page cache in KiB: 32 MiB hold the inner pages of an index of millions.
const WRITER_CACHE_KIB: i32 = 32 * 1024;

pub(super) fn failed(what: &str, path: &Path, error: impl std::fmt::Display) -> MemoryError {
    MemoryError::Storage(format!("could not {what} {}: {error}", path.display()))
}

/// What SQLite said of the database.
pub(super) fn says(error: &rusqlite::Error) -> MemoryError {
    MemoryError::Storage(error.to_string())
}

/// Opens the memory at `path` for writing and makes it if nothing is there.
pub(super) fn open(path: &Path) -> Result<Connection, MemoryError> {
    if !path.try_exists().map_err(|error| failed("look at", path, error))? {
        create(path)?;
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let set_up = || {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
        connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)
    };
    set_up().map_err(|error| failed("open", path, error))?;
    Ok(connection)
}

/// Opens it for reading.
pub(super) fn reader(path: &Path) -> Result<Connection, MemoryError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| failed("open", path, error))?;
    Ok(connection)
}

/// A memory that is gone with its last owner.
pub(super) fn in_memory() -> Result<Connection, MemoryError> {
    let made = Connection::open_in_memory().and_then(|connection| {
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.execute_batch(SCHEMA).map(|()| connection)
    });
    made.map_err(|error| says(&error))
}

fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, MemoryError> {
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
    let (connection, id, version) = set_up().map_err(|error: rusqlite::Error| failed("open", path, error))?;
    if id != APPLICATION_ID {
        let what = format!("it is no memory (application id {id:#010x}, expected {APPLICATION_ID:#010x})");
        return Err(failed("open", path, what));
    }
    if version != VERSION {
        return Err(failed("open", path, format!("its schema version is {version}, expected {VERSION}")));
    }
    let keep = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
    keep.map_err(|error| failed("open", path, error))?;
    Ok(connection)
}

fn create(path: &Path) -> Result<(), MemoryError> {
    let new = new_name(path)?;
    let made = create_at(&new).and_then(|()| {
        let linked = File::open(&new).and_then(|file| file.sync_all()).and_then(|()| fs::hard_link(&new, path));
        match linked {
            // Another process was faster; its memory is as good.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked.and_then(|()| File::open(folder_of(path))?.sync_all()),
        }
        .map_err(|error| failed("create", path, error))
    });
    let removed = fs::remove_file(&new);
    made.and_then(|()| removed.map_err(|error| failed("remove", &new, error)))
}

/// A name beside it that nobody else uses.
fn new_name(path: &Path) -> Result<PathBuf, MemoryError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| failed("create", path, error))?;
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-new-{:016x}", u64::from_le_bytes(bytes)));
    Ok(name.into())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn create_at(path: &Path) -> Result<(), MemoryError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| failed("create", path, error))?;
    let made = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.execute_batch(SCHEMA)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
    });
    made.map_err(|error| failed("create", path, error))
}
