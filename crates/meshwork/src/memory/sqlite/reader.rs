//! What is asked of the database.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::file::{place_of, says};
use super::tokens::Wanted;
use crate::memory::{EntryKind, MemoryEntry, MemoryError, MemoryQuery};
use crate::peers::PeerState;

/// A query may have so many conditions: beyond that it is a flood, not a question.
const CONDITIONS_MAX: usize = 256;

/// So many entries that are hidden from who asks are looked at and passed over; then the index is asked to leave them
/// out. To look at one costs about 5 us. The index skips 200 in that time, but goes through all that are hidden in the
/// span of what is found, a thousand for one that matches where the conditions are rare. Tests go both ways.
const HIDDEN_MAX: usize = if cfg!(test) { 2 } else { 256 };

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
    let places = (place_of(last), place_of(first));
    let mut search = Search { connection, swarm, query, bytes_max, places, entries: Vec::new(), bytes: 0 };
    if let Some(place) = search.run(&wanted.expression(), HIDDEN_MAX)? {
        search.places.0 = place;
        search.run(&wanted.visible(), usize::MAX)?;
    }
    Ok(search.entries)
}

/// What is looked for and where, and what was found.
struct Search<'a> {
    connection: &'a Connection,
    swarm: &'a str,
    query: &'a MemoryQuery,
    bytes_max: usize,
    /// In the index, both inclusive.
    places: (i64, i64),
    entries: Vec<MemoryEntry>,
    /// Those of the entries.
    bytes: usize,
}

impl Search<'_> {
    /// Adds what matches, newest first. Gives the place at which it gave up, since more than `hidden_max` entries that
    /// matched are hidden from who asks.
    fn run(&mut self, expression: &str, hidden_max: usize) -> Result<Option<i64>, MemoryError> {
        let says = |error: rusqlite::Error| says(&error);
        let sql = format!(
            "SELECT {COLUMNS}, ifnull(e.private AND e.author <> ?1, 0), found.rowid
             FROM found CROSS JOIN entry AS e ON e.number = {} - found.rowid
             WHERE found MATCH ?2 AND found.rowid BETWEEN ?3 AND ?4 AND (e.swarm = ?5 OR e.public) ORDER BY found.rowid",
            place_of(0)
        );
        let mut statement = self.connection.prepare_cached(&sql).map_err(says)?;
        let (requester, (first, last)) = (&self.query.requester_id, self.places);
        let mut rows = statement.query(params![requester, expression, first, last, self.swarm]).map_err(says)?;
        let limit = self.query.limit.map_or(usize::MAX, |limit| limit as usize);
        let mut hidden = 0;
        while self.entries.len() < limit
            && let Some(row) = rows.next().map_err(says)?
        {
            if row.get(6).map_err(says)? {
                hidden += 1;
                if hidden > hidden_max {
                    return row.get(7).map(Some).map_err(says);
                }
                continue;
            }
            self.bytes += size(row).map_err(says)?;
            if self.bytes > self.bytes_max {
                let found = format!("{:?}, and the answer is over {} bytes", self.query.limit, self.bytes_max);
                let expected = format!("at most {}, or more conditions", self.entries.len());
                return Err(MemoryError::Invalid { field: "limit", found, expected });
            }
            self.entries.push(entry(row)?);
        }
        Ok(None)
    }
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
