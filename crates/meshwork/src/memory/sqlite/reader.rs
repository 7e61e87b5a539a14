//! What is asked of the database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::file::says;
use super::tokens::Wanted;
use crate::memory::{EntryKind, MemoryEntry, MemoryError, MemoryQuery};
use crate::peers::PeerState;

/// A query may have so many conditions: beyond that it is a flood, not a question.
const CONDITIONS_MAX: usize = 256;

const COLUMNS: &str = "e.number, e.author, e.kind, e.timestamp, e.metadata, e.content";

/// An entry's id is its number in the database.
pub(super) fn id_of(number: i64) -> String {
    format!("m{number}")
}

/// The number in an id, if it is one of ours.
pub(super) fn number_of(id: &str) -> Option<i64> {
    let number = id.strip_prefix('m')?.parse().ok()?;
    (id_of(number) == id).then_some(number)
}

/// The wanted entries, newest first. The answer may have `bytes_max` bytes.
pub(super) fn recall(
    connection: &Connection,
    swarm: &str,
    query: &MemoryQuery,
    bytes_max: usize,
) -> Result<Vec<MemoryEntry>, MemoryError> {
    let wanted = Wanted::of(swarm, query);
    if wanted.all.len() > CONDITIONS_MAX {
        let found = format!("a query of {} words and other conditions", wanted.all.len());
        let expected = format!("at most {CONDITIONS_MAX}");
        return Err(MemoryError::Invalid { field: "query", found, expected });
    }
    let between = between(connection, query).map_err(|error| says(&error))?;
    let Some((first, last)) = between.filter(|_| !wanted.nothing) else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT {COLUMNS} FROM found CROSS JOIN entry AS e ON e.number = found.rowid
         WHERE found MATCH ?1 AND found.rowid BETWEEN ?2 AND ?3 AND (e.swarm = ?4 OR e.public) ORDER BY found.rowid DESC LIMIT ?5"
    );
    let limit = query.limit.map_or(-1, i64::from);
    let mut statement = connection.prepare_cached(&sql).map_err(|error| says(&error))?;
    let rows = statement.query(params![wanted.expression(), first, last, swarm, limit]);
    let mut rows = rows.map_err(|error| says(&error))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(|error| says(&error))? {
        bytes += size(row).map_err(|error| says(&error))?;
        if bytes > bytes_max {
            let found = format!("{:?}, and the answer is over {bytes_max} bytes", query.limit);
            let expected = format!("at most {}, or more conditions", entries.len());
            return Err(MemoryError::Invalid { field: "limit", found, expected });
        }
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// The numbers that the times leave, both inclusive; numbers grow with time.
fn between(connection: &Connection, query: &MemoryQuery) -> rusqlite::Result<Option<(i64, i64)>> {
    let mut ends = (0, i64::MAX);
    if let Some(since) = query.since {
        let Ok(since) = i64::try_from(since) else { return Ok(None) };
        let sql = "SELECT number FROM entry WHERE timestamp >= ? ORDER BY timestamp, number LIMIT 1";
        let Some(first) = one(connection, sql, since)? else { return Ok(None) };
        ends.0 = first;
    }
    // Nothing is as late as what does not fit into a number of SQLite.
    if let Some(before) = query.before.and_then(|before| i64::try_from(before).ok()) {
        let sql = "SELECT number FROM entry WHERE timestamp < ? ORDER BY timestamp DESC, number DESC LIMIT 1";
        let Some(last) = one(connection, sql, before)? else { return Ok(None) };
        ends.1 = last;
    }
    Ok(Some(ends))
}

fn one(connection: &Connection, sql: &str, value: i64) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached(sql)?.query_row([value], |row| row.get(0)).optional()
}

fn size(row: &Row<'_>) -> rusqlite::Result<usize> {
    let bytes = |column| row.get_ref(column).map(|value| value.as_bytes().map_or(0, <[u8]>::len));
    Ok(bytes(4)? + bytes(5)?)
}

/// A row of [`COLUMNS`].
fn entry(row: &Row<'_>) -> Result<MemoryEntry, MemoryError> {
    let says = |error: rusqlite::Error| says(&error);
    let number: i64 = row.get(0).map_err(says)?;
    let damaged = |what: &str| MemoryError::Storage(format!("entry {} is damaged: {what}", id_of(number)));
    let word: String = row.get(2).map_err(says)?;
    let kind = EntryKind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| damaged("its type"))?;
    let timestamp: i64 = row.get(3).map_err(says)?;
    let json = |column| row.get_ref(column).map_err(says)?.as_str().map_err(|_| damaged("its text"));
    Ok(MemoryEntry {
        id: id_of(number),
        agent_id: row.get(1).map_err(says)?,
        kind,
        content: serde_json::from_str(json(5)?).map_err(|_| damaged("its content"))?,
        timestamp: u64::try_from(timestamp).map_err(|_| damaged("its timestamp"))?,
        metadata: serde_json::from_str(json(4)?).map_err(|_| damaged("its metadata"))?,
    })
}

/// An entry with the swarm that it belongs to.
pub(super) fn one_entry(connection: &Connection, number: i64) -> Result<Option<(String, MemoryEntry)>, MemoryError> {
    let sql = format!("SELECT {COLUMNS}, e.swarm FROM entry AS e WHERE e.number = ?");
    let mut statement = connection.prepare_cached(&sql).map_err(|error| says(&error))?;
    let mut rows = statement.query([number]).map_err(|error| says(&error))?;
    let Some(row) = rows.next().map_err(|error| says(&error))? else { return Ok(None) };
    let swarm = row.get(6).map_err(|error| says(&error))?;
    Ok(Some((swarm, entry(row)?)))
}

/// The states of a swarm's peers by id, each with the load that was said last.
pub(super) fn peers(connection: &Connection, swarm: &str) -> Result<Vec<PeerState>, MemoryError> {
    let sql = "SELECT state, load FROM peer WHERE swarm = ? AND state IS NOT NULL ORDER BY id";
    let read = || {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([swarm], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, f64)>>>()
    };
    let rows = read().map_err(|error| says(&error))?;
    let state = |(json, load): (String, f64)| {
        let state: PeerState = serde_json::from_str(&json)
            .map_err(|error| MemoryError::Storage(format!("a peer's state is damaged: {error}")))?;
        Ok(PeerState { load, ..state })
    };
    rows.into_iter().map(state).collect()
}

/// The load that a peer said last.
pub(super) fn load(connection: &Connection, swarm: &str, peer: &str) -> Result<Option<f64>, MemoryError> {
    let read = || {
        let mut statement = connection.prepare_cached("SELECT load FROM peer WHERE swarm = ? AND id = ?")?;
        statement.query_row([swarm, peer], |row| row.get(0)).optional()
    };
    read().map_err(|error| says(&error))
}
