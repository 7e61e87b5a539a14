//! What peers say to each other.
//!
//! On `mesh.<swarm>.discovery` go queries (type `peer-query`) and announcements (`peer-announcement`), on
//! `mesh.<swarm>.heartbeat` heartbeats (`peer-heartbeat`). The payload of both is a [`PeerWord`]. The metadata of a
//! message has the `side` that sent it, and of an announcement the side that it `answers`. Whoever leaves the metadata
//! out is understood, too. They are published without a sender, so that they count as nobody's messages.
//!
//! Everybody hears a query, and the answers are for the one who asked: they are announcements on
//! `mesh.<swarm>.discovery.<side>`. So a thousand that start at once cost a million messages, not a thousand million. A
//! query that names no side is answered where it was asked.

use meshwork_core::ID_BYTES_MAX;
use meshwork_core::discovery::{Heard, Profile, Said, Standing};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::messaging::{Message, Topic, TopicError};
use crate::peers::artifact::StoredPeer;
use crate::peers::{AgentState, PeerInfo, PeerMetadata, PeerState, PeerStats};

/// The type of queries.
///
/// ```
/// use meshwork::discovery::QUERY;
///
/// assert_eq!(QUERY, "peer-query");
/// ```
pub const QUERY: &str = "peer-query";
/// The type of announcements.
///
/// ```
/// use meshwork::discovery::ANNOUNCEMENT;
///
/// assert_eq!(ANNOUNCEMENT, "peer-announcement");
/// ```
pub const ANNOUNCEMENT: &str = "peer-announcement";
/// The type of heartbeats.
///
/// ```
/// use meshwork::discovery::HEARTBEAT;
///
/// assert_eq!(HEARTBEAT, "peer-heartbeat");
/// ```
pub const HEARTBEAT: &str = "peer-heartbeat";

const SIDE: &str = "side";
const ANSWERS: &str = "answers";
/// What names a side is short: it goes back with every answer.
const SIDE_BYTES_MAX: usize = 64;
/// What a peer's capabilities may take, all together: of the largest number of peers they still fit into memory.
pub(super) const CAPABILITIES_BYTES_MAX: usize = 16 * 1024;
/// The largest integer that every reader of JSON has.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The topic of a swarm's queries and announcements.
pub(super) fn discovery(swarm: &str) -> Result<Topic, TopicError> {
    Topic::of_swarm(swarm, "discovery")
}

/// The topic of a swarm's heartbeats.
pub(super) fn heartbeat(swarm: &str) -> Result<Topic, TopicError> {
    Topic::of_swarm(swarm, "heartbeat")
}

/// The topic of answers to that side.
pub(super) fn answers(swarm: &str, side: &str) -> Result<Topic, TopicError> {
    Topic::of_swarm(swarm, &format!("discovery.{side}"))
}

/// What a peer says of itself. `lastSeen` is its own clock, and rises with every word of one life.
///
/// ```
/// use meshwork::discovery::PeerWord;
/// use meshwork::peers::PeerInfo;
///
/// let info = PeerInfo { id: "reviewer".to_owned(), ..PeerInfo::default() };
/// let word = serde_json::to_value(PeerWord { info, incarnation: 7 })?;
/// assert_eq!((&word["id"], &word["incarnation"]), (&"reviewer".into(), &7.into()));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerWord {
    /// The peer.
    #[serde(flatten)]
    pub info: PeerInfo,
    /// Which life of it: a later one has a higher number.
    pub incarnation: u64,
}

/// Of a [`PeerInfo`], what the machine only carries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Carried {
    pub(super) load: f64,
    pub(super) state: AgentState,
    pub(super) metadata: Option<PeerMetadata>,
}

pub(super) fn standing(state: AgentState) -> Standing {
    match state {
        AgentState::Paused => Standing::Paused,
        _ if state.is_gone() => Standing::Gone,
        _ => Standing::Open,
    }
}

pub(super) fn profile(capabilities: Vec<String>, rest: Carried) -> Profile<Carried> {
    Profile { capabilities, standing: standing(rest.state), rest }
}

pub(super) fn info(id: &str, said: &Said<Carried>, last_seen: u64) -> PeerInfo {
    let Carried { load, state, metadata } = said.profile.rest;
    PeerInfo { id: id.to_owned(), capabilities: said.profile.capabilities.clone(), load, last_seen, state, metadata }
}

/// What is stored of a peer, without its tasks.
pub(super) fn stored(id: &str, said: &Said<Carried>) -> StoredPeer {
    let Carried { load, state, metadata } = said.profile.rest;
    let (known, none) = (metadata.unwrap_or_default(), PeerStats::default());
    let metrics = PeerStats {
        success_rate: known.success_rate.unwrap_or(none.success_rate),
        average_response_time: known.average_response_time.unwrap_or(none.average_response_time),
        tasks_completed: known.tasks_completed.unwrap_or(none.tasks_completed),
        tasks_failed: known.tasks_failed.unwrap_or(none.tasks_failed),
    };
    let state = PeerState {
        peer_id: id.to_owned(),
        capabilities: said.profile.capabilities.clone(),
        load,
        state,
        active_tasks: Vec::new(),
        metrics,
        last_updated: said.stamp,
    };
    StoredPeer { state, incarnation: Some(said.incarnation), stamp: Some(said.stamp) }
}

/// What a stored peer had said. One that discovery did not store lived before all lives.
pub(super) fn recalled(stored: StoredPeer) -> Result<(String, Said<Carried>), String> {
    let StoredPeer { state, incarnation, stamp } = stored;
    let rest = Carried { load: state.load, state: state.state, metadata: Some(state.metrics.into()) };
    let profile = profile(state.capabilities, rest);
    let said = Said { incarnation: incarnation.unwrap_or(0), stamp: stamp.unwrap_or(state.last_updated), profile };
    check(&state.peer_id, &said)?;
    Ok((state.peer_id, said))
}

/// Each with its separator, so that empty ones count, too.
pub(super) fn capability_bytes(capabilities: &[String]) -> usize {
    capabilities.iter().map(|one| one.len() + 1).sum()
}

fn check(id: &str, said: &Said<Carried>) -> Result<(), String> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(format!("the peer's id has {} bytes, expected 1 to {ID_BYTES_MAX}", id.len()));
    }
    let bytes = capability_bytes(&said.profile.capabilities);
    if bytes > CAPABILITIES_BYTES_MAX {
        return Err(format!("the capabilities have {bytes} bytes, expected at most {CAPABILITIES_BYTES_MAX}"));
    }
    let load = said.profile.rest.load;
    if !load.is_finite() || load < 0.0 {
        return Err(format!("the load is {load}, expected a number from 0 on"));
    }
    let largest = said.incarnation.max(said.stamp);
    if largest > NUMBER_MAX {
        return Err(format!("incarnation or time is {largest}, expected at most {NUMBER_MAX}"));
    }
    Ok(())
}

/// A message that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Incoming {
    /// Somebody asks who is there.
    Query { side: String },
    /// A peer spoke.
    Word { peer: String, how: Heard, said: Said<Carried> },
    /// This side said so itself, or it is of a type that others may understand.
    NotForUs,
}

/// Reads what came on one of the topics.
pub(super) fn read(own: &str, message: &Message) -> Result<Incoming, String> {
    let said = |key| message.metadata.as_ref()?.get(key)?.as_str();
    let side = said(SIDE).unwrap_or_default();
    if side == own {
        return Ok(Incoming::NotForUs);
    }
    if side.len() > SIDE_BYTES_MAX || !side.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!(
            "a side's name is at most {SIDE_BYTES_MAX} letters and digits, this has {} bytes",
            side.len()
        ));
    }
    let how = match message.kind.as_str() {
        QUERY => return Ok(Incoming::Query { side: side.to_owned() }),
        ANNOUNCEMENT => Heard::Announcement { answers_us: said(ANSWERS) == Some(own) },
        HEARTBEAT => Heard::Heartbeat,
        _ => return Ok(Incoming::NotForUs),
    };
    let word = PeerWord::deserialize(&message.payload).map_err(|error| error.to_string())?;
    let PeerWord { info: PeerInfo { id, capabilities, load, last_seen, state, metadata }, incarnation } = word;
    let profile = profile(capabilities, Carried { load, state, metadata });
    let said = Said { incarnation, stamp: last_seen, profile };
    check(&id, &said)?;
    Ok(Incoming::Word { peer: id, how, said })
}

fn message(kind: &'static str, payload: Value, own: &str, now_ms: u64) -> Message {
    let metadata = Map::from_iter([(SIDE.to_owned(), json!(own))]);
    Message { metadata: Some(metadata), ..Message::new(kind, payload, now_ms) }
}

pub(super) fn query(own: &str, swarm: &str, now_ms: u64) -> Message {
    message(QUERY, json!({ "swarmId": swarm }), own, now_ms)
}

/// A peer's word as a message of that type, in answer to that side.
pub(super) fn word(
    kind: &'static str,
    own: &str,
    peer: &str,
    said: &Said<Carried>,
    answers: Option<&str>,
) -> Result<Message, serde_json::Error> {
    let word = PeerWord { info: info(peer, said, said.stamp), incarnation: said.incarnation };
    let mut message = message(kind, serde_json::to_value(word)?, own, said.stamp);
    if let Some(side) = answers {
        message.metadata.get_or_insert_default().insert(ANSWERS.to_owned(), json!(side));
    }
    Ok(message)
}
