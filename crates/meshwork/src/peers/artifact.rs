//! Where the state of a peer is stored for those that join later, and in what form.
//!
//! The artifact `mesh/<swarm>/peers/<peer>.json` is the JSON of a [`PeerState`], and beside its fields, where discovery
//! wrote it, the `incarnation` of the peer and the `stamp` of the word of it that is stored. Whatever in a name is no letter, digit, `_`, `-` or `.` is
//! percent-encoded in the key, and so are the swarms `.` and `..`.
//!
//! Discovery writes what a peer says of itself, the balancer which tasks it has. Each reads what is there, changes its
//! own part and writes the whole; [`PeerStates::change`] lets one do so at a time in a process. Between processes, a
//! peer's side writes what it says, and one balancer is to move tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::Mutex;

use super::PeerState;
use crate::artifacts::{ArtifactError, Artifacts};

/// What stays as it is in a key.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');
/// Begins all keys.
const ROOT: &str = "mesh/";
/// Between swarm and peer.
const PEERS: &str = "/peers/";
/// Ends all keys: so no peer's part of a key is `.` or `..`.
const END: &str = ".json";
/// The state of a peer has a few hundred bytes; task ids make the most of it. Larger ones are not read.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Writers of one key wait for each other; those of two seldom do.
static WRITERS: [Mutex<()>; 64] = [const { Mutex::const_new(()) }; 64];

/// The key of that peer's state.
///
/// ```
/// use meshwork::peers::artifact::key;
///
/// assert_eq!(key("swarm-1", "reviewer"), "mesh/swarm-1/peers/reviewer.json");
/// assert_eq!(key("swarm-1", "a/b"), "mesh/swarm-1/peers/a%2Fb.json");
/// ```
#[must_use]
pub fn key(swarm: &str, peer: &str) -> String {
    format!("{}{}{END}", prefix(swarm), utf8_percent_encode(peer, PLAIN))
}

/// What the keys of all peers of the swarm begin with.
///
/// ```
/// use meshwork::peers::artifact::{key, prefix};
///
/// assert_eq!(prefix("swarm-1"), "mesh/swarm-1/peers/");
/// assert!(key("swarm-1", "reviewer").starts_with(&prefix("swarm-1")));
/// ```
#[must_use]
pub fn prefix(swarm: &str) -> String {
    // These two alone are no part of a key.
    let plain = if matches!(swarm, "." | "..") { NON_ALPHANUMERIC } else { PLAIN };
    format!("{ROOT}{}{PEERS}", utf8_percent_encode(swarm, plain))
}

/// The swarm and the peer whose state has that key; `None` for other keys.
fn named_by(key: &str) -> Option<(String, String)> {
    let (swarm, peer) = key.strip_prefix(ROOT)?.strip_suffix(END)?.split_once(PEERS)?;
    let decode = |text| percent_decode_str(text).decode_utf8().ok().map(String::from);
    let (swarm, peer) = (decode(swarm)?, decode(peer)?);
    (self::key(&swarm, &peer) == key).then_some((swarm, peer))
}

/// What is stored.
///
/// ```
/// use meshwork::peers::PeerState;
/// use meshwork::peers::artifact::StoredPeer;
///
/// let state = PeerState { peer_id: "reviewer".to_owned(), ..PeerState::default() };
/// // As somebody else than discovery writes it.
/// let stored = StoredPeer { state, ..StoredPeer::default() };
/// let text = serde_json::to_value(&stored)?;
/// assert_eq!((&text["peerId"], text.get("incarnation")), (&"reviewer".into(), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredPeer {
    /// The peer.
    #[serde(flatten)]
    pub state: PeerState,
    /// Which life of it said so; absent where somebody else than discovery wrote it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// When it said so, by its own clock in ms; absent where somebody else than discovery wrote it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<u64>,
}

/// What was found of a swarm.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::artifacts::Artifacts;
/// use meshwork::peers::artifact::{Found, key};
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
/// artifacts.store(&key("swarm-1", "reviewer"), "{ torn".into()).await?;
/// let found: Found = states.all("swarm-1").await?;
/// assert!(found.peers.is_empty());
/// assert_eq!(found.unreadable[0].0, "mesh/swarm-1/peers/reviewer.json");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Peers, by id.
    pub peers: BTreeMap<String, StoredPeer>,
    /// Artifacts that should be a peer's state and are not: the key, and what is wrong.
    pub unreadable: Vec<(String, String)>,
}

/// Why a peer's state was not read or written.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::artifacts::Artifacts;
/// use meshwork::peers::artifact::{PeerStateError, key};
///
/// # let folder = tempfile::tempdir()?;
/// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
/// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
/// artifacts.store(&key("swarm-1", "reviewer"), "{ torn".into()).await?;
/// let error = states.read("swarm-1", "reviewer").await.unwrap_err();
/// assert!(matches!(error, PeerStateError::Unreadable { .. }), "{error}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Error)]
pub enum PeerStateError {
    /// What the store says.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// It is something else.
    #[error("the artifact {key:?} is no state of peer {peer:?}: {why}; nothing was changed")]
    Unreadable {
        /// Its key.
        key: String,
        /// Whose state it should be.
        peer: String,
        /// What is wrong.
        why: String,
    },
}

/// The states of peers in a store.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use meshwork::artifacts::FolderArtifacts;
/// use meshwork::peers::PeerState;
/// use meshwork::peers::artifact::{PeerStates, StoredPeer};
/// use std::sync::Arc;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path();
/// let states = PeerStates::new(Arc::new(FolderArtifacts::open(path)?));
/// let state = PeerState { peer_id: "reviewer".to_owned(), load: 2.0, ..PeerState::default() };
/// states.change("swarm-1", "reviewer", |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
/// assert_eq!(states.all("swarm-1").await?.peers["reviewer"].state.load, 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PeerStates {
    artifacts: Arc<dyn Artifacts>,
}

impl std::fmt::Debug for PeerStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerStates")
    }
}

impl PeerStates {
    /// Those in that store.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::artifact::PeerStates;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// // `artifacts` is any store.
    /// let states = PeerStates::new(artifacts);
    /// assert!(states.swarms().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new(artifacts: Arc<dyn Artifacts>) -> Self {
        Self { artifacts }
    }

    /// The state of that peer; `None` when there is none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerState;
    /// use meshwork::peers::artifact::StoredPeer;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// assert_eq!(states.read("swarm-1", "reviewer").await?, None);
    /// let state = PeerState { peer_id: "reviewer".to_owned(), ..PeerState::default() };
    /// states.change("swarm-1", "reviewer", |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
    /// assert!(states.read("swarm-1", "reviewer").await?.is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the store says, or that something else is stored there.
    pub async fn read(&self, swarm: &str, peer: &str) -> Result<Option<StoredPeer>, PeerStateError> {
        let key = key(swarm, peer);
        let unreadable = |why| PeerStateError::Unreadable { key: key.clone(), peer: peer.to_owned(), why };
        let Some(info) = self.artifacts.stat(&key).await? else { return Ok(None) };
        if info.size > BYTES_MAX {
            return Err(unreadable(format!("it has {} bytes, expected at most {BYTES_MAX}", info.size)));
        }
        let bytes = match self.artifacts.retrieve(&key).await {
            Ok(bytes) => bytes,
            // It was taken away meanwhile.
            Err(ArtifactError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stored: StoredPeer = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if stored.state.peer_id != peer {
            return Err(unreadable(format!("it is that of {:?}", stored.state.peer_id)));
        }
        Ok(Some(stored))
    }

    /// The states of all peers of the swarm.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerState;
    /// use meshwork::peers::artifact::StoredPeer;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// for id in ["writer", "reviewer"] {
    ///     let state = PeerState { peer_id: id.to_owned(), ..PeerState::default() };
    ///     states.change("swarm-1", id, |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
    /// }
    /// let found = states.all("swarm-1").await?;
    /// assert!(found.peers.keys().eq(["reviewer", "writer"]));
    /// assert!(found.unreadable.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the store says. What is no state of a peer is no error, see [`Found::unreadable`].
    pub async fn all(&self, swarm: &str) -> Result<Found, ArtifactError> {
        let mut found = Found::default();
        for info in self.artifacts.list(&prefix(swarm)).await? {
            let Some((_, peer)) = named_by(&info.key) else {
                found.unreadable.push((info.key, "the key names no peer".to_owned()));
                continue;
            };
            match self.read(swarm, &peer).await {
                Ok(Some(stored)) => _ = found.peers.insert(peer, stored),
                Ok(None) => {}
                Err(PeerStateError::Unreadable { key, why, .. }) => found.unreadable.push((key, why)),
                Err(PeerStateError::Artifact(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The swarms of which there are peers.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerState;
    /// use meshwork::peers::artifact::StoredPeer;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// for swarm in ["swarm-2", "swarm-1"] {
    ///     let state = PeerState { peer_id: "reviewer".to_owned(), ..PeerState::default() };
    ///     states.change(swarm, "reviewer", |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
    /// }
    /// assert!(states.swarms().await?.iter().eq(["swarm-1", "swarm-2"]));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the store says.
    pub async fn swarms(&self) -> Result<BTreeSet<String>, ArtifactError> {
        let all = self.artifacts.list(ROOT).await?;
        Ok(all.iter().filter_map(|info| named_by(&info.key)).map(|(swarm, _)| swarm).collect())
    }

    /// Reads the state of that peer, changes it and writes it, while nobody else in this process does so. `None` from
    /// `what` writes nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::peers::PeerState;
    /// use meshwork::peers::artifact::StoredPeer;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let artifacts = std::sync::Arc::new(meshwork::artifacts::FolderArtifacts::open(folder.path())?);
    /// # let states = meshwork::peers::artifact::PeerStates::new(artifacts.clone());
    /// let state = PeerState { peer_id: "reviewer".to_owned(), ..PeerState::default() };
    /// states.change("swarm-1", "reviewer", |_| Some(StoredPeer { state, ..StoredPeer::default() })).await?;
    /// states
    ///     .change("swarm-1", "reviewer", |known| {
    ///         let mut known = known?;
    ///         known.state.load += 1.0;
    ///         Some(known)
    ///     })
    ///     .await?;
    /// let stored = states.read("swarm-1", "reviewer").await?.expect("it was written");
    /// assert_eq!(stored.state.load, 1.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the store says, or that something else is stored there. Nothing was changed.
    pub async fn change(
        &self,
        swarm: &str,
        peer: &str,
        what: impl FnOnce(Option<StoredPeer>) -> Option<StoredPeer>,
    ) -> Result<(), PeerStateError> {
        let key = key(swarm, peer);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let _alone = WRITERS[hasher.finish() as usize % WRITERS.len()].lock().await;
        let Some(stored) = what(self.read(swarm, peer).await?) else { return Ok(()) };
        let bytes = serde_json::to_vec(&stored);
        let bytes = bytes.map_err(|error| PeerStateError::Unreadable {
            key: key.clone(),
            peer: peer.to_owned(),
            why: error.to_string(),
        })?;
        self.artifacts.store(&key, bytes.into()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::artifacts::{FolderArtifacts, check_key};

    proptest! {
        #[test]
        fn every_name_makes_a_key_that_names_it(swarm in "\\PC{1,40}", peer in "\\PC{1,40}") {
            let key = key(&swarm, &peer);
            check_key(&key).unwrap();
            prop_assert_eq!(named_by(&key), Some((swarm, peer)));
        }
    }

    #[test]
    fn keys_of_others_name_no_peer() {
        for key in [
            "mesh/s/peers/a",
            "mesh/s/a.json",
            "other/s/peers/a.json",
            "mesh/s/peers/%zz.json",
            "mesh/s/peers/a/b.json",
        ] {
            assert_eq!(named_by(key), None, "{key}");
        }
        assert_eq!(key("s", "../x"), "mesh/s/peers/..%2Fx.json");
        // As parts of a key they would be refused.
        assert_eq!(key(".", "."), "mesh/%2E/peers/..json");
        assert_eq!(key("..", ".."), "mesh/%2E%2E/peers/...json");
    }

    #[tokio::test]
    async fn changes_at_one_time_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let states = PeerStates::new(Arc::new(FolderArtifacts::open(folder.path()).unwrap()));
        let add = |task: usize| {
            let states = states.clone();
            async move {
                let add = |stored: Option<StoredPeer>| {
                    let mut stored = stored.unwrap_or_default();
                    stored.state.peer_id = "p".to_owned();
                    stored.state.active_tasks.push(task.to_string());
                    Some(stored)
                };
                states.change("s", "p", add).await.unwrap();
            }
        };
        futures_util::future::join_all((0..20).map(add)).await;
        let found = states.all("s").await.unwrap();
        assert_eq!(found.peers["p"].state.active_tasks.len(), 20);
        assert_eq!(states.swarms().await.unwrap(), BTreeSet::from(["s".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_no_state_is_told_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts: Arc<dyn Artifacts> = Arc::new(FolderArtifacts::open(folder.path()).unwrap());
        let states = PeerStates::new(Arc::clone(&artifacts));
        artifacts.store(&key("s", "a"), "no json".into()).await.unwrap();
        artifacts.store("mesh/s/peers/x", "{}".into()).await.unwrap();
        let other = serde_json::to_vec(&StoredPeer {
            state: PeerState { peer_id: "c".to_owned(), ..PeerState::default() },
            incarnation: None,
            stamp: None,
        });
        artifacts.store(&key("s", "b"), other.unwrap().into()).await.unwrap();
        let found = states.all("s").await.unwrap();
        assert!(found.peers.is_empty());
        assert_eq!(found.unreadable.len(), 3, "{found:?}");
        let error = states.change("s", "a", |stored| stored).await.unwrap_err().to_string();
        assert!(error.contains("is no state of peer \"a\"") && error.contains("nothing was changed"), "{error}");
        assert_eq!(artifacts.retrieve(&key("s", "a")).await.unwrap(), "no json");
    }
}
