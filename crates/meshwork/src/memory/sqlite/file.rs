//! The memory's database: what it is, and what its errors mean.

use rusqlite::Connection;

use crate::database::{DatabaseError, Kind};
use crate::memory::MemoryError;

/// "MesM". The writer's page cache holds the inner pages of an index of millions.
pub(super) const KIND: &Kind =
    &Kind { noun: "memory", application_id: 0x4D65_734D, version: 2, schema: SCHEMA, cache_kib: 32 * 1024 };

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

/// What SQLite said of the database.
pub(super) fn says(error: &rusqlite::Error) -> MemoryError {
    MemoryError::Storage(error.to_string())
}

impl From<DatabaseError> for MemoryError {
    fn from(error: DatabaseError) -> Self {
        Self::Storage(error.to_string())
    }
}

/// A memory that is gone with its last owner.
pub(super) fn in_memory() -> Result<Connection, MemoryError> {
    let made = Connection::open_in_memory().and_then(|connection| {
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.execute_batch(SCHEMA).map(|()| connection)
    });
    made.map_err(|error| says(&error))
}
