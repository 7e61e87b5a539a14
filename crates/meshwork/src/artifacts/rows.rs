//! The database of a store: what it is, and what is read from it.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

use super::{ArtifactError, ArtifactInfo, files};
use crate::database::{DatabaseError, Kind, Why};

/// "MesA". Pages of large rows pass through the cache; two MiB are for the others.
pub(super) const KIND: &Kind =
    &Kind { noun: "artifact store", application_id: 0x4D65_7341, version: 1, schema: SCHEMA, cache_kib: 2 * 1024 };

/// Keys, and each content once: its bytes, or the name of its file. Who lists keys reads no content, so a key has the
/// size too. The index tells whether a content is still meant by a key.
const SCHEMA: &str = "
    CREATE TABLE artifact (
        key TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        size INTEGER NOT NULL,
        stored_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX artifact_digest ON artifact (digest);
    CREATE TABLE content (
        number INTEGER PRIMARY KEY,
        digest BLOB NOT NULL UNIQUE,
        file TEXT UNIQUE,
        bytes BLOB,
        CHECK ((file IS NULL) <> (bytes IS NULL))
    ) STRICT;
";

/// A content as the database has it.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// The name of its file.
    File(String),
}

/// What `key` means.
pub(super) fn find(
    connection: &Connection,
    path: &Path,
    key: &str,
) -> Result<Option<(ArtifactInfo, Content)>, ArtifactError> {
    let sql = "SELECT key, digest, size, stored_ms, file, bytes FROM artifact LEFT JOIN content USING (digest)
        WHERE key = ?";
    let find = || {
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row([key], |row| Ok((info(row)?, row.get(4)?, row.get(5)?))).optional()
    };
    let found = find().map_err(|error| sqlite_error("read", path, &error))?;
    let Some((info, file, bytes)) = found else { return Ok(None) };
    let (file, bytes): (Option<String>, Option<Vec<u8>>) = (file, bytes);
    match (file, bytes) {
        (_, Some(bytes)) => Ok(Some((info, Content::Bytes(bytes)))),
        (Some(file), None) if files::is_name(&file) => Ok(Some((info, Content::File(file)))),
        (Some(file), None) => Err(damaged(path, format!("a content is in the file {file:?}"))),
        (None, None) => Err(damaged(path, format!("the content of {key:?} is gone"))),
    }
}

/// What is known about `key`.
pub(super) fn stat(connection: &Connection, path: &Path, key: &str) -> Result<Option<ArtifactInfo>, ArtifactError> {
    let sql = "SELECT key, digest, size, stored_ms FROM artifact WHERE key = ?";
    let found = connection.prepare_cached(sql).and_then(|mut statement| statement.query_row([key], info).optional());
    found.map_err(|error| sqlite_error("read", path, &error))
}

/// All keys that start with `prefix`, in the order of their bytes.
pub(super) fn list(connection: &Connection, path: &Path, prefix: &str) -> Result<Vec<ArtifactInfo>, ArtifactError> {
    let list = || {
        let sql = "SELECT key, digest, size, stored_ms FROM artifact WHERE key >= ? ORDER BY key";
        let mut statement = connection.prepare_cached(sql)?;
        let all = statement.query_map([prefix], info)?;
        let matching = all.take_while(|info| info.as_ref().map_or(true, |info| info.key.starts_with(prefix)));
        matching.collect::<rusqlite::Result<_>>()
    };
    list().map_err(|error| sqlite_error("read", path, &error))
}

/// The names of all files that rows name.
pub(super) fn named_files(connection: &Connection, path: &Path) -> Result<Vec<String>, ArtifactError> {
    let list = || {
        let mut statement = connection.prepare("SELECT file FROM content WHERE file IS NOT NULL")?;
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()
    };
    list().map_err(|error| sqlite_error("read", path, &error))
}

/// SQLite's check of its own structure, indexes too. Reads every page.
pub(super) fn check_structure(connection: &Connection, path: &Path) -> Result<(), ArtifactError> {
    let found: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| sqlite_error("check", path, &error))?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, found)) }
}

/// An artifact, out of the first four columns.
fn info(row: &Row<'_>) -> rusqlite::Result<ArtifactInfo> {
    let number = |column| {
        let value: i64 = row.get(column)?;
        u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
    };
    let digest: [u8; 32] = row.get(1)?;
    Ok(ArtifactInfo {
        key: row.get(0)?,
        digest: blake3::Hash::from_bytes(digest).to_hex().to_string(),
        size: number(2)?,
        stored: UNIX_EPOCH + Duration::from_millis(number(3)?),
    })
}

pub(super) fn damaged(path: &Path, what: String) -> ArtifactError {
    let path = path.to_owned();
    ArtifactError::Damaged { what, path }
}

/// What an error of SQLite means for the store.
pub(super) fn sqlite_error(what: &'static str, path: &Path, error: &rusqlite::Error) -> ArtifactError {
    match (error.sqlite_error_code(), error) {
        (Some(ErrorCode::DiskFull), _) => ArtifactError::Full { path: path.to_owned() },
        // A row of the wrong type can't come from us: the schema is strict.
        (Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase), _)
        | (_, rusqlite::Error::FromSqlConversionFailure(..))
        | (_, rusqlite::Error::IntegralValueOutOfRange(..))
        | (_, rusqlite::Error::InvalidColumnType(..)) => damaged(path, error.to_string()),
        _ => ArtifactError::io(what, path, std::io::Error::other(error.to_string())),
    }
}

impl From<DatabaseError> for ArtifactError {
    fn from(error: DatabaseError) -> Self {
        let DatabaseError { what, path, why } = error;
        match why {
            Why::System(error) => Self::io(what, &path, error),
            Why::Sqlite(error) => sqlite_error(what, &path, &error),
            Why::Foreign(found) => Self::OtherLayout { found, path },
        }
    }
}
