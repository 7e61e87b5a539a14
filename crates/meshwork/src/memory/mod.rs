//! Memory that agents share (seed, section 7): what they remember, and what peers say of themselves.
//!
//! [`SwarmMemory`] is object-safe, so that a memory of somebody else fits; [`contract`] is what each must do.
//! [`SqliteMemory`] keeps one in a database that several processes may share.

mod check;
#[doc(hidden)]
pub mod contract;
mod sqlite;

pub use sqlite::{MemoryConfig, SqliteMemory};

use crate::peers::PeerState;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

/// What an entry is about.
///
/// ```
/// use meshwork::memory::EntryKind;
///
/// assert_eq!(serde_json::from_str::<EntryKind>(r#""knowledge""#)?, EntryKind::Knowledge);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Something learned.
    Knowledge,
    /// What came out of a task.
    Result,
    /// What somebody does.
    State,
    /// Something said.
    Communication,
    /// Something that went wrong.
    Error,
}

impl EntryKind {
    /// All of them.
    ///
    /// ```
    /// use meshwork::memory::EntryKind;
    ///
    /// let kind = EntryKind::ALL.into_iter().find(|kind| kind.word() == "result");
    /// assert_eq!(kind, Some(EntryKind::Result));
    /// ```
    pub const ALL: [Self; 5] = [Self::Knowledge, Self::Result, Self::State, Self::Communication, Self::Error];

    /// The seed's word.
    ///
    /// ```
    /// use meshwork::memory::EntryKind;
    ///
    /// let words = EntryKind::ALL.map(EntryKind::word);
    /// assert_eq!(words, ["knowledge", "result", "state", "communication", "error"]);
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Knowledge => "knowledge",
            Self::Result => "result",
            Self::State => "state",
            Self::Communication => "communication",
            Self::Error => "error",
        }
    }
}

/// Who may read an entry.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{MemoryQuery, ShareLevel, SwarmMemory};
/// use serde_json::json;
///
/// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
/// let secret = Some(json!({ "shareLevel": "private" }));
/// memory.remember("alice", "knowledge", json!("The key is under the mat."), secret).await?;
/// // Others don't find it.
/// let asked_by_bob = MemoryQuery { requester_id: Some("bob".to_owned()), ..MemoryQuery::default() };
/// assert!(memory.recall(asked_by_bob).await?.is_empty());
/// assert_eq!(memory.recall(MemoryQuery::default()).await?[0].metadata.share_level, Some(ShareLevel::Private));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShareLevel {
    /// Its author alone; it can't be shared.
    Private,
    /// Everybody in the swarm.
    #[default]
    Team,
    /// Everybody.
    Public,
}

impl ShareLevel {
    /// All of them.
    ///
    /// ```
    /// use meshwork::memory::ShareLevel;
    ///
    /// let level = ShareLevel::ALL.into_iter().find(|level| level.word() == "public");
    /// assert_eq!(level, Some(ShareLevel::Public));
    /// ```
    pub const ALL: [Self; 3] = [Self::Private, Self::Team, Self::Public];

    /// The seed's word.
    ///
    /// ```
    /// use meshwork::memory::ShareLevel;
    ///
    /// assert_eq!(ShareLevel::ALL.map(ShareLevel::word), ["private", "team", "public"]);
    /// assert_eq!(ShareLevel::default(), ShareLevel::Team);
    /// ```
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Team => "team",
            Self::Public => "public",
        }
    }
}

/// What is said of an entry.
///
/// ```
/// use meshwork::memory::EntryMetadata;
/// use serde_json::json;
///
/// let said: EntryMetadata = serde_json::from_value(json!({ "taskId": "task-7", "mood": "sunny" }))?;
/// assert_eq!(said.task_id.as_deref(), Some("task-7"));
/// // What it does not know stays as it is.
/// assert_eq!(said.extra["mood"], "sunny");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryMetadata {
    /// The task that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The objective that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_id: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// How much it matters; any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// Who may read it; `None`: [`ShareLevel::Team`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_level: Option<ShareLevel>,
    /// Of a shared entry: the entry that it was made from. Set by the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_id: Option<String>,
    /// Of a shared entry: whose it was. Set by the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_from: Option<String>,
    /// Of a shared entry: whose it is now. Set by the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_to: Option<String>,
    /// Of a shared entry: when it was shared, in ms since the epoch. Set by the memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_at: Option<u64>,
    /// Every other field that its author gave, as it was given.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What somebody remembers (the seed's `SwarmMemoryEntry`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{EntryKind, MemoryEntry, MemoryQuery, SwarmMemory};
/// use serde_json::json;
///
/// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
/// let id = memory.remember("alice", "result", json!({ "passed": 12 }), None).await?;
/// let entries: Vec<MemoryEntry> = memory.recall(MemoryQuery::default()).await?;
/// assert_eq!((&entries[0].id, entries[0].kind), (&id, EntryKind::Result));
/// assert_eq!(entries[0].content["passed"], 12);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryEntry {
    /// Unique in its memory.
    pub id: String,
    /// Its author.
    pub agent_id: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// The content.
    pub content: Value,
    /// When it was written, in ms since the epoch.
    pub timestamp: u64,
    /// What is said of it.
    pub metadata: EntryMetadata,
}

/// Which entries somebody wants; all of what is given must hold (the seed's `SwarmMemoryQuery`).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{EntryKind, MemoryQuery, SwarmMemory};
/// use serde_json::json;
///
/// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
/// memory.remember("alice", "knowledge", json!("Quotes nest two deep."), None).await?;
/// memory.remember("alice", "error", json!("Quotes were not closed."), None).await?;
/// memory.remember("bob", "error", json!("Quotes were not opened."), None).await?;
/// let query = MemoryQuery {
///     agent_id: Some("alice".to_owned()),
///     kind: Some(EntryKind::Error),
///     text: Some("quotes".to_owned()),
///     ..MemoryQuery::default()
/// };
/// let found = memory.recall(query).await?;
/// assert_eq!((found.len(), &found[0].content), (1, &json!("Quotes were not closed.")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemoryQuery {
    /// Written by this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// About this.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<EntryKind>,
    /// Of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Of this objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_id: Option<String>,
    /// With all of these tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Not older than this, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Older than this, in ms since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// At most so many, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// With this level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_level: Option<ShareLevel>,
    /// Words that all occur in its content or tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Who asks: private entries of others are left out. `None`: the operator, who sees all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester_id: Option<String>,
}

/// Why a memory did not do what it was asked. Nothing changed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{MemoryError, SwarmMemory};
/// use serde_json::json;
///
/// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
/// let error = memory.remember("alice", "gossip", json!("They say so."), None).await.unwrap_err();
/// assert!(matches!(error, MemoryError::Invalid { field: "type", .. }), "{error}");
/// let error = memory.share_memory("nothing", "bob").await.unwrap_err();
/// assert_eq!(error, MemoryError::UnknownEntry { id: "nothing".to_owned() });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MemoryError {
    /// There is no such entry.
    #[error("there is no memory entry {id:?}")]
    UnknownEntry {
        /// What was asked for.
        id: String,
    },
    /// Private entries stay with their author.
    #[error("memory entry {id:?} is private to {author:?} and can't be shared; nothing changed")]
    Private {
        /// The entry.
        id: String,
        /// Its author.
        author: String,
    },
    /// A field is not what it should be.
    #[error("{field} is {found}, expected {expected}; nothing changed")]
    Invalid {
        /// The field, in the seed's words.
        field: &'static str,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// An entry may have so many bytes.
    #[error("the memory entry has {found} bytes, the limit is {most}; nothing changed")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The limit.
        most: usize,
    },
    /// What holds the memory failed, or is not ours and said so.
    #[error("the memory can't be used: {0}; nothing changed")]
    Storage(String),
}

/// Memory that agents share. The seed's `ISwarmMemoryManager` in Rust habits; what it resolves to is durable.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::memory::{MemoryConfig, MemoryQuery, SqliteMemory, SwarmMemory};
/// use serde_json::json;
/// use std::sync::Arc;
///
/// let memory: Arc<dyn SwarmMemory> = Arc::new(SqliteMemory::in_memory(MemoryConfig::default())?);
/// memory.remember("alice", "knowledge", json!("Quotes nest two deep."), None).await?;
/// memory.update_peer_load("alice", 3.0).await?;
/// assert_eq!(memory.recall(MemoryQuery::default()).await?.len(), 1);
/// assert_eq!(memory.peer_load("alice").await?, Some(3.0));
/// # Ok(())
/// # }
/// ```
pub trait SwarmMemory: Send + Sync + 'static {
    /// Keeps what `agent_id` wants to remember, and answers the entry's id. `kind` and `metadata` are what the seed
    /// says of them: a word of [`EntryKind`], and an object of [`EntryMetadata`] or nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::{MemoryQuery, SwarmMemory};
    /// use serde_json::json;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// let about = json!({ "taskId": "task-7", "tags": ["parser"] });
    /// let id = memory.remember("alice", "knowledge", json!("Quotes nest two deep."), Some(about)).await?;
    /// let query = MemoryQuery { task_id: Some("task-7".to_owned()), ..MemoryQuery::default() };
    /// assert_eq!(memory.recall(query).await?[0].id, id);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`], [`MemoryError::TooLarge`], [`MemoryError::Storage`].
    fn remember<'a>(
        &'a self,
        agent_id: &'a str,
        kind: &'a str,
        content: Value,
        metadata: Option<Value>,
    ) -> BoxFuture<'a, Result<String, MemoryError>>;

    /// The entries that are wanted, newest first.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::{MemoryQuery, SwarmMemory};
    /// use serde_json::json;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// for text in ["first", "second", "third"] {
    ///     memory.remember("alice", "communication", json!(text), None).await?;
    /// }
    /// let newest = memory.recall(MemoryQuery { limit: Some(2), ..MemoryQuery::default() }).await?;
    /// assert_eq!((&newest[0].content, &newest[1].content), (&json!("third"), &json!("second")));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`], [`MemoryError::Storage`].
    fn recall(&self, query: MemoryQuery) -> BoxFuture<'_, Result<Vec<MemoryEntry>, MemoryError>>;

    /// Gives an agent an entry of its own with the same content.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::{MemoryQuery, SwarmMemory};
    /// use serde_json::json;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// let id = memory.remember("alice", "knowledge", json!("Quotes nest two deep."), None).await?;
    /// memory.share_memory(&id, "bob").await?;
    /// let of_bob = MemoryQuery { agent_id: Some("bob".to_owned()), ..MemoryQuery::default() };
    /// let shared = memory.recall(of_bob).await?;
    /// assert_eq!(shared[0].metadata.shared_from.as_deref(), Some("alice"));
    /// assert_eq!(shared[0].metadata.original_id.as_deref(), Some(&*id));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::UnknownEntry`], [`MemoryError::Private`], [`MemoryError::Storage`].
    fn share_memory<'a>(&'a self, entry_id: &'a str, target: &'a str) -> BoxFuture<'a, Result<(), MemoryError>>;

    /// Keeps what a peer says of itself, in place of what it said before.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::SwarmMemory;
    /// use meshwork::peers::PeerState;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// for load in [1.0, 2.0] {
    ///     let state = PeerState { peer_id: "alice".to_owned(), load, ..PeerState::default() };
    ///     memory.share_peer_state("alice", state).await?;
    /// }
    /// // The last word is kept; this memory's own swarm is called "swarm".
    /// let peers = memory.mesh_peers("swarm").await?;
    /// assert_eq!((peers.len(), peers[0].load), (1, 2.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`], [`MemoryError::Storage`].
    fn share_peer_state<'a>(&'a self, peer_id: &'a str, state: PeerState) -> BoxFuture<'a, Result<(), MemoryError>>;

    /// The same for a peer of that swarm: one memory may serve several. Not of the seed; by default the memory's own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::SwarmMemory;
    /// use meshwork::peers::PeerState;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// let state = PeerState { peer_id: "alice".to_owned(), load: 1.0, ..PeerState::default() };
    /// memory.share_peer_state_of("reviews", "alice", state).await?;
    /// assert_eq!(memory.mesh_peers("reviews").await?.len(), 1);
    /// assert!(memory.mesh_peers("swarm").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`SwarmMemory::share_peer_state`].
    fn share_peer_state_of<'a>(
        &'a self,
        swarm_id: &'a str,
        peer_id: &'a str,
        state: PeerState,
    ) -> BoxFuture<'a, Result<(), MemoryError>> {
        let _its_own = swarm_id;
        self.share_peer_state(peer_id, state)
    }

    /// What the peers of a swarm said of themselves, by id.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::SwarmMemory;
    /// use meshwork::peers::PeerState;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// for id in ["bob", "alice"] {
    ///     memory.share_peer_state(id, PeerState { peer_id: id.to_owned(), ..PeerState::default() }).await?;
    /// }
    /// let peers = memory.mesh_peers("swarm").await?;
    /// assert_eq!((peers[0].peer_id.as_str(), peers[1].peer_id.as_str()), ("alice", "bob"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Storage`].
    fn mesh_peers<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Vec<PeerState>, MemoryError>>;

    /// Keeps a peer's load.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::SwarmMemory;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// memory.update_peer_load("alice", 2.5).await?;
    /// assert_eq!(memory.peer_load("alice").await?, Some(2.5));
    /// assert!(memory.update_peer_load("alice", f64::NAN).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Invalid`], [`MemoryError::Storage`].
    fn update_peer_load<'a>(&'a self, peer_id: &'a str, load: f64) -> BoxFuture<'a, Result<(), MemoryError>>;

    /// A peer's load; `None` while nobody said it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::memory::SwarmMemory;
    ///
    /// # let memory = meshwork::memory::SqliteMemory::in_memory(Default::default())?;
    /// assert_eq!(memory.peer_load("alice").await?, None);
    /// memory.update_peer_load("alice", 4.0).await?;
    /// assert_eq!(memory.peer_load("alice").await?, Some(4.0));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`MemoryError::Storage`].
    fn peer_load<'a>(&'a self, peer_id: &'a str) -> BoxFuture<'a, Result<Option<f64>, MemoryError>>;
}
