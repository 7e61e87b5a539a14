//! The memory in SQLite: one writer thread that commits all that waits as one transaction, readers beside it, and
//! one full-text index that answers every query.
//!
//! The database runs in WAL mode with `synchronous = FULL`: what was answered survives power loss on a disk that keeps
//! its word. Several processes may have it open; SQLite's lock puts their transactions in order. It is a file of its
//! own, not the log's: merging an index must not stand before a commit of the log.

mod file;
mod reader;
mod tokens;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use futures_util::future::BoxFuture;
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::oneshot;

use self::writer::{NewEntry, Work};
use super::{MemoryEntry, MemoryError, MemoryQuery, SwarmMemory, check};
use crate::clock::now_ms;
use crate::database::{self, Readers};
use crate::group_commit::{Queue, Work as _};
use crate::peers::PeerState;

/// The time in ms since the epoch.
type Clock = Box<dyn Fn() -> u64 + Send>;

/// Settings of a [`SqliteMemory`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{MemoryConfig, SqliteMemory, SwarmMemory};
/// use serde_json::json;
///
/// let config = MemoryConfig { entry_bytes: 100, ..MemoryConfig::default() };
/// let memory = SqliteMemory::in_memory(config)?;
/// let error = memory.remember("alice", "knowledge", json!("x".repeat(100)), None).await.unwrap_err();
/// assert!(error.to_string().ends_with("bytes, the limit is 100; nothing changed"), "{error}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// The swarm that this memory serves. Entries of another swarm in the same file are seen where they are public.
    /// `swarm` by default.
    pub swarm_id: String,
    /// Most bytes of an entry's content and metadata together, as JSON: 1 MiB; what is larger is an artifact.
    pub entry_bytes: usize,
    /// Most bytes of what one recall answers, as JSON: 64 MiB. A query that finds more is refused, and has to say a
    /// limit.
    pub recall_bytes: usize,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self { swarm_id: "swarm".to_owned(), entry_bytes: 1024 * 1024, recall_bytes: 64 * 1024 * 1024 }
    }
}

impl MemoryConfig {
    fn check(&self) -> Result<(), MemoryError> {
        check::id("swarmId", &self.swarm_id)?;
        let positive = |field, value: usize| match value {
            0 => Err(MemoryError::Invalid { field, found: "0".to_owned(), expected: "at least 1".to_owned() }),
            _ => Ok(()),
        };
        positive("entryBytes", self.entry_bytes)?;
        positive("recallBytes", self.recall_bytes)
    }
}

/// A [`SwarmMemory`] in one SQLite database. Clones share it; the last one that is dropped stores what was handed
/// over and waits for that.
///
/// A *word* is a run of letters and digits of any script, without regard to case. `text` finds the entries whose
/// content (its strings, numbers, truth values and field names) or tags have all its words; blank text is no
/// condition, and text without a word finds nothing. Fields of `metadata` that the seed does not name are kept and
/// given back. Entries that were written in the same millisecond are answered last one first; a clock that goes back
/// gives no entry a time before the one that came before it.
///
/// Methods that read a file use tokio's blocking threads, so they need a tokio runtime.
///
/// ```
/// use meshwork::memory::{MemoryConfig, MemoryQuery, SqliteMemory, SwarmMemory};
/// use serde_json::json;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let memory = SqliteMemory::in_memory(MemoryConfig::default())?;
/// let about = json!({ "tags": ["parser"], "taskId": "task-7" });
/// let id = memory.remember("alice", "knowledge", json!("Quotes nest two deep."), Some(about)).await?;
///
/// let query = MemoryQuery { tags: Some(vec!["parser".into()]), text: Some("NEST".into()), ..MemoryQuery::default() };
/// let found = memory.recall(query).await?;
/// assert_eq!(found[0].id, id);
/// assert_eq!(found[0].metadata.task_id.as_deref(), Some("task-7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SqliteMemory {
    swarm: Arc<str>,
    entry_bytes: usize,
    recall_bytes: usize,
    shared: Arc<Shared>,
    _writer: Arc<Thread>,
}

/// What the clones and their readers have in common.
#[derive(Debug)]
struct Shared {
    queue: Arc<Queue<Work>>,
    /// `None`: the writer has the only connection.
    file: Option<Readers>,
}

#[derive(Debug)]
struct Thread {
    queue: Arc<Queue<Work>>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported where it happened; here nothing is left to wait for.
            let _ended = writer.join();
        }
    }
}

impl SqliteMemory {
    /// Opens the memory in the file `path`, and makes it if nothing is there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::{MemoryConfig, MemoryQuery, SqliteMemory, SwarmMemory};
    /// use serde_json::json;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("memory.db");
    /// let memory = SqliteMemory::open(&path, MemoryConfig::default())?;
    /// memory.remember("alice", "knowledge", json!("Quotes nest two deep."), None).await?;
    /// drop(memory);
    ///
    /// let again = SqliteMemory::open(&path, MemoryConfig::default())?;
    /// assert_eq!(again.recall(MemoryQuery::default()).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`] for a setting; [`MemoryError::Storage`] where the file can't be made, is damaged, or
    /// is something else, which leaves it as it is.
    pub fn open(path: impl Into<PathBuf>, config: MemoryConfig) -> Result<Self, MemoryError> {
        Self::open_with(path.into(), config, Box::new(now_ms))
    }

    fn open_with(path: PathBuf, config: MemoryConfig, clock: Clock) -> Result<Self, MemoryError> {
        config.check()?;
        let connection = database::open(file::KIND, &path)?;
        Self::start(connection, config, Some(Readers::new(file::KIND, path)), clock)
    }

    /// A memory without a file, which is gone with its last clone.
    ///
    /// ```
    /// use meshwork::memory::{MemoryConfig, SqliteMemory};
    ///
    /// assert!(SqliteMemory::in_memory(MemoryConfig::default())?.path().is_none());
    /// let error = SqliteMemory::in_memory(MemoryConfig { recall_bytes: 0, ..MemoryConfig::default() }).unwrap_err();
    /// assert_eq!(error.to_string(), "recallBytes is 0, expected at least 1; nothing changed");
    /// # Ok::<(), meshwork::memory::MemoryError>(())
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`] for a setting, [`MemoryError::Storage`].
    pub fn in_memory(config: MemoryConfig) -> Result<Self, MemoryError> {
        config.check()?;
        Self::start(file::in_memory()?, config, None, Box::new(now_ms))
    }

    fn start(
        connection: Connection,
        config: MemoryConfig,
        file: Option<Readers>,
        clock: Clock,
    ) -> Result<Self, MemoryError> {
        let queue = Arc::new(Queue::new());
        let writer = Some(writer::spawn(connection, clock, &queue)?);
        let MemoryConfig { swarm_id, entry_bytes, recall_bytes } = config;
        let thread = Thread { queue: Arc::clone(&queue), writer };
        let shared = Arc::new(Shared { queue, file });
        Ok(Self { swarm: swarm_id.into(), entry_bytes, recall_bytes, shared, _writer: Arc::new(thread) })
    }

    /// The file; `None`: it has none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::{MemoryConfig, SqliteMemory};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("memory.db");
    /// let memory = SqliteMemory::open(&path, MemoryConfig::default())?;
    /// assert_eq!(memory.path(), Some(&*path));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.shared.file.as_ref().map(Readers::path)
    }

    /// Runs `read` on a connection.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, MemoryError> + Send + 'static,
    ) -> Result<T, MemoryError> {
        if self.shared.file.is_none() {
            let (answer, answered) = oneshot::channel();
            let look = Work::Look(Box::new(move |connection| {
                // Whoever asked may be gone.
                let _gone = answer.send(read(connection));
            }));
            self.shared.queue.push(look).await?;
            return answered.await.unwrap_or_else(|_| Err(Work::closed()));
        }
        let shared = Arc::clone(&self.shared);
        let ended = tokio::task::spawn_blocking(move || shared.file.as_ref().map(|file| file.with(read)));
        // Only a runtime that shuts down, or a panic in SQLite's wrapper, comes the other way.
        ended.await.ok().flatten().unwrap_or_else(|| Err(Work::closed()))
    }

    fn new_entry(
        &self,
        agent_id: &str,
        kind: &str,
        content: Value,
        metadata: Option<Value>,
    ) -> Result<NewEntry, MemoryError> {
        check::id("agentId", agent_id)?;
        let kind = check::kind(kind)?;
        check::depth("content", [&content])?;
        check::depth("metadata", &metadata)?;
        let metadata = check::metadata(metadata)?;
        // The writer gives it an id and a time.
        let entry =
            MemoryEntry { id: String::new(), agent_id: agent_id.to_owned(), kind, content, timestamp: 0, metadata };
        let entry = NewEntry::of(&self.swarm, entry)?;
        match entry.size() {
            found if found > self.entry_bytes => Err(MemoryError::TooLarge { found, most: self.entry_bytes }),
            _ => Ok(entry),
        }
    }

    async fn peer(&self, swarm: Arc<str>, peer: String, load: f64, state: Option<String>) -> Result<(), MemoryError> {
        let work = Work::Peer { swarm, peer, load, state };
        self.shared.queue.push(work).await.map(drop)
    }
}

impl SwarmMemory for SqliteMemory {
    fn remember<'a>(
        &'a self,
        agent_id: &'a str,
        kind: &'a str,
        content: Value,
        metadata: Option<Value>,
    ) -> BoxFuture<'a, Result<String, MemoryError>> {
        Box::pin(async move {
            let entry = self.new_entry(agent_id, kind, content, metadata)?;
            self.shared.queue.push(Work::Remember(entry)).await.map(reader::id_of)
        })
    }

    fn recall(&self, query: MemoryQuery) -> BoxFuture<'_, Result<Vec<MemoryEntry>, MemoryError>> {
        let (swarm, most) = (Arc::clone(&self.swarm), self.recall_bytes);
        Box::pin(self.read(move |connection| reader::recall(connection, &swarm, &query, most)))
    }

    fn share_memory<'a>(&'a self, entry_id: &'a str, target: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(async move {
            check::id("targetAgentId", target)?;
            let (entry_id, target) = (entry_id.to_owned(), target.to_owned());
            let work = Work::Share { swarm: Arc::clone(&self.swarm), entry_id, target };
            self.shared.queue.push(work).await.map(drop)
        })
    }

    fn share_peer_state<'a>(&'a self, peer_id: &'a str, state: PeerState) -> BoxFuture<'a, Result<(), MemoryError>> {
        self.share_peer_state_of(&self.swarm, peer_id, state)
    }

    fn share_peer_state_of<'a>(
        &'a self,
        swarm_id: &'a str,
        peer_id: &'a str,
        state: PeerState,
    ) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(async move {
            check::id("swarmId", swarm_id)?;
            check::peer_state(peer_id, &state)?;
            let json = serde_json::to_string(&state).map_err(|error| MemoryError::Storage(error.to_string()))?;
            if json.len() > self.entry_bytes {
                return Err(MemoryError::TooLarge { found: json.len(), most: self.entry_bytes });
            }
            self.peer(swarm_id.into(), peer_id.to_owned(), state.load, Some(json)).await
        })
    }

    fn mesh_peers<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Vec<PeerState>, MemoryError>> {
        let swarm = swarm_id.to_owned();
        Box::pin(self.read(move |connection| reader::peers(connection, &swarm)))
    }

    fn update_peer_load<'a>(&'a self, peer_id: &'a str, load: f64) -> BoxFuture<'a, Result<(), MemoryError>> {
        Box::pin(async move {
            check::id("peerId", peer_id)?;
            check::load("load", load)?;
            self.peer(Arc::clone(&self.swarm), peer_id.to_owned(), load, None).await
        })
    }

    fn peer_load<'a>(&'a self, peer_id: &'a str) -> BoxFuture<'a, Result<Option<f64>, MemoryError>> {
        let (swarm, peer) = (Arc::clone(&self.swarm), peer_id.to_owned());
        Box::pin(self.read(move |connection| reader::load(connection, &swarm, &peer)))
    }
}
