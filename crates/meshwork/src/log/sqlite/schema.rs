//! The database file: what it must look like, how it is made, checked and brought up to date.
//!
//! A file is judged before anything is opened for writing, by the main file alone, and again with its write-ahead log.
//! A new database is made under another name and renamed when it is complete, so the file is never half-made.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::super::LogError;
use crate::database;
use crate::failpoint::{self, Point};

/// "Mesh": where SQLite's header has it, `file(1)` and we can tell whose database this is.
pub(super) const APPLICATION_ID: u32 = 0x4D65_7368;

/// From one schema version to the next: step `n` (from 0) leads from version `n` to `n + 1`. Steps are only added.
///
/// The checksum stands before the bytes, so that it can be read without walking a long value.
const STEPS: &[&str] = &["
    CREATE TABLE batch (seq INTEGER PRIMARY KEY, checksum BLOB NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE snapshot (seq INTEGER PRIMARY KEY, checksum BLOB NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE mail (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        peer TEXT NOT NULL,
        id TEXT NOT NULL,
        bytes BLOB,
        UNIQUE (peer, id)
    ) STRICT;
    CREATE INDEX mail_unread ON mail (peer, number) WHERE bytes IS NOT NULL;
    CREATE INDEX mail_read ON mail (peer, number) WHERE bytes IS NULL;
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
"];

/// The schema version that this program writes.
pub(super) const SUPPORTED: u32 = STEPS.len() as u32;

/// How long another connection's short lock (recovery, a checkpoint's end) is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// The write-ahead log is checkpointed by the writer; SQLite itself steps in at this many pages (64 MiB).
const CHECKPOINT_PAGES: u32 = 16_384;
/// What a checkpoint leaves of the write-ahead log's file: 32 MiB.
const WAL_KEPT: u32 = 32 * 1024 * 1024;

/// What a database has at least: its header.
const HEADER_BYTES: u64 = 100;
/// What stays as it is in a name of a file for SQLite.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// What the file at `path` says that it is: its schema version, or `None` if nothing is there. Only reads.
///
/// SQLite opens it and nobody else: whoever closes another descriptor of the file takes the locks of every connection
/// of this process with it (POSIX), and the next process that opens it would take itself for the only one.
pub(super) fn inspect(path: &Path) -> Result<Option<u32>, LogError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("look at", path, &error)),
    };
    if !about.is_file() {
        return Err(not_a_database(path, "not a regular file"));
    }
    if about.len() < HEADER_BYTES {
        return Err(not_a_database(path, &format!("{} bytes long", about.len())));
    }
    match by_main_file(path) {
        // The main file may be behind its own header, or the power may have gone while its first sector was written
        // back: then the write-ahead log has it whole, and SQLite looks there first. What it does not take for ours
        // either stays what it was.
        Err(error) if has_wal(path) => by_write_ahead_log(path).map(Some).map_err(|_| error),
        judged => judged.map(Some),
    }
}

/// The schema version that the main file tells. What is immutable is not locked, and nothing is made beside it.
fn by_main_file(path: &Path) -> Result<u32, LogError> {
    let name = format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), PLAIN));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(name, flags).map_err(|error| sqlite_error(&error, path, "open"))?;
    identity(&connection, path)
}

/// The schema version that SQLite reads, from the write-ahead log if that has it. Only reads.
fn by_write_ahead_log(path: &Path) -> Result<u32, LogError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|error| sqlite_error(&error, path, "open"))?;
    identity(&connection, path)
}

fn judge(path: &Path, application_id: u32, version: u32) -> Result<(), LogError> {
    if application_id != APPLICATION_ID {
        return Err(LogError::ForeignDatabase {
            found: application_id,
            expected: APPLICATION_ID,
            path: path.to_owned(),
        });
    }
    if version > SUPPORTED {
        return Err(LogError::NewerSchema { found: version, supported: SUPPORTED, path: path.to_owned() });
    }
    Ok(())
}

/// Whether a write-ahead log with content lies beside the database: it is in use, or was not closed.
pub(super) fn has_wal(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    fs::metadata(wal).is_ok_and(|about| about.len() > 0)
}

/// Makes a complete, empty database at `path`, where nothing is.
pub(super) fn create(path: &Path) -> Result<(), LogError> {
    let new = path.with_extension("db-new");
    let made = create_at(&new).and_then(|()| {
        File::open(&new)
            .and_then(|file| file.sync_all())
            .inspect(|()| failpoint::reach(Point::LogCreate))
            .and_then(|()| fs::rename(&new, path))
            .and_then(|()| File::open(database::folder_of(path))?.sync_all())
            .inspect(|()| failpoint::reach(Point::LogCreated))
            .map_err(|error| io_error("create", path, &error))
    });
    if made.is_err() {
        // Nothing is to be left of a failed attempt; what can't be removed is overwritten by the next one.
        let _left = fs::remove_file(&new);
    }
    made
}

fn create_at(path: &Path) -> Result<(), LogError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(|error| io_error("create", path, &error))?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let made = (|| {
        // Without a write-ahead log: identity and schema are to be in the main file, where `inspect` looks. Nothing is
        // waited for: the whole file is synced before it gets its name.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        migrate(&mut connection, 0)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
    })();
    made.map_err(|error| sqlite_error(&error, path, "create"))
}

/// Runs the steps that lead from `version` to [`SUPPORTED`], all or none.
fn migrate(connection: &mut Connection, version: u32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS.iter().skip(version as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", SUPPORTED)?;
    transaction.commit()
}

/// A connection to an existing database, with what every connection wants.
pub(super) fn connect(path: &Path, mode: OpenFlags) -> Result<Connection, LogError> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let set_up = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    };
    set_up().map_err(|error| sqlite_error(&error, path, "open"))
}

/// Opens for writing: checked, migrated, and set to be durable. The file is as it was if this fails.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, LogError> {
    // A write-ahead log is left where the last writer did not close. SQLite recovers from that by itself; what it
    // does not notice is a disk that lost or changed pages, so then (and only then) the whole structure is checked.
    let unclean = has_wal(path);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let says = |error: rusqlite::Error| sqlite_error(&error, path, "open");
    // A refused database keeps its write-ahead log: closing this connection must not write it back. Where there is
    // none, closing removes the empty one that opening made.
    let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep, unclean).map_err(says)?;
    let version = identity(&connection, path)?;
    if unclean {
        quick_check(&connection, path)?;
    }
    if version > 0 {
        no_holes(&connection, path)?;
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(says)?;
    if mode != "wal" {
        let detail = format!("this file system allows no write-ahead log (journal mode {mode})");
        let path = path.to_owned();
        return Err(LogError::Io { what: "open", path, detail });
    }
    let is_new = !unclean && version > 0 && last(&connection, path)? == 0;
    let set_up = || {
        if is_new {
            begin_write_ahead_log(&connection, version)?;
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
        connection.set_db_config(keep, false).map(drop)
    };
    set_up().map_err(says)?;
    if version < SUPPORTED {
        migrate(&mut connection, version).map_err(says)?;
        // The new version is to be in the main file, where `inspect` looks.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(says)?;
    }
    Ok(connection)
}

/// The write-ahead log of a new database begins with a transaction that says nothing and is not waited for, so that it
/// has its header. SQLite syncs the header on its own before the first commit, lest what an earlier use left behind it be
/// taken for more of it; a new file holds nothing, and the first commit syncs header and all. A log that holds something
/// may turn out to be refused, and is not touched.
fn begin_write_ahead_log(connection: &Connection, version: u32) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "user_version", version)
}

/// The schema version according to SQLite, which knows the write-ahead log too.
pub(super) fn identity(connection: &Connection, path: &Path) -> Result<u32, LogError> {
    let pragma = |name: &str| {
        connection
            .pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map(i32::cast_unsigned)
            .map_err(|error| sqlite_error(&error, path, "open"))
    };
    let version = pragma("user_version")?;
    judge(path, pragma("application_id")?, version)?;
    Ok(version)
}

/// SQLite's check of its own structure. Reads every page once.
pub(super) fn quick_check(connection: &Connection, path: &Path) -> Result<(), LogError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| sqlite_error(&error, path, "check"))?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, found)) }
}

/// The position of the last batch.
pub(super) fn last(connection: &Connection, path: &Path) -> Result<u64, LogError> {
    connection
        .prepare_cached("SELECT ifnull(max(seq), 0) FROM batch")
        .and_then(|mut statement| statement.query_row([], |row| number(row, 0)))
        .map_err(|error| sqlite_error(&error, path, "read"))
}

/// A column that counts something. SQLite's integers are signed; a negative one is not from us.
pub(super) fn number(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

/// Refuses a log in which a position is missing: as many batches as the last position says.
pub(super) fn no_holes(connection: &Connection, path: &Path) -> Result<(), LogError> {
    let says = |error: rusqlite::Error| sqlite_error(&error, path, "read");
    let last = last(connection, path)?;
    let count: u64 = connection.query_row("SELECT count(*) FROM batch", [], |row| number(row, 0)).map_err(says)?;
    if count == last {
        return Ok(());
    }
    let mut statement = connection.prepare("SELECT seq FROM batch ORDER BY seq").map_err(says)?;
    let mut rows = statement.query([]).map_err(says)?;
    let mut after = 0;
    while let Some(row) = rows.next().map_err(says)? {
        let found: i64 = row.get(0).map_err(says)?;
        match u64::try_from(found) {
            Ok(found) if found == after + 1 => after = found,
            Ok(found) if found > 0 => {
                let path = path.to_owned();
                return Err(LogError::Hole { after, found, path });
            }
            _ => return Err(damaged(path, format!("a batch at position {found}"))),
        }
    }
    Err(damaged(path, format!("{count} batches, the last at position {last}")))
}

/// What an error of SQLite means for the log.
pub(super) fn sqlite_error(error: &rusqlite::Error, path: &Path, what: &'static str) -> LogError {
    let path: PathBuf = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => LogError::Full { path },
        Some(ErrorCode::NotADatabase) => LogError::NotADatabase { what: error.to_string(), path },
        Some(ErrorCode::DatabaseCorrupt) => damaged(&path, error.to_string()),
        Some(ErrorCode::ConstraintViolation) => LogError::OtherWriter { path },
        _ => match error {
            // A row of the wrong type can't come from us: the schema is strict.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..) => damaged(&path, error.to_string()),
            _ => LogError::Io { what, path, detail: error.to_string() },
        },
    }
}

pub(super) fn damaged(path: &Path, what: String) -> LogError {
    let path = path.to_owned();
    LogError::Damaged { what, path }
}

fn not_a_database(path: &Path, what: &str) -> LogError {
    LogError::NotADatabase { what: what.to_owned(), path: path.to_owned() }
}

fn io_error(what: &'static str, path: &Path, error: &std::io::Error) -> LogError {
    let path = path.to_owned();
    if error.kind() == ErrorKind::StorageFull {
        return LogError::Full { path };
    }
    let detail = error.to_string();
    LogError::Io { what, path, detail }
}
