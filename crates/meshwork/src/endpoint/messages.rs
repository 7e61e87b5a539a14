//! Messages between peers, in the name of the attempt.

use super::failure::Failure;
use super::session::Session;
use crate::broker::{Message, Origin, PeerId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Messages of one answer, at most: with the largest payloads they take 25 MiB.
const READ_AT_ONCE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    to: String,
    r#type: String,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct Sent {
    id: String,
}

fn bytes_of(payload: Option<Box<RawValue>>) -> Bytes {
    payload.map_or_else(|| Bytes::from_static(b"null"), |json| Bytes::from(String::from(Box::<str>::from(json))))
}

/// Answers when the message is stored with its recipient.
pub(super) async fn send(session: &Session, message: Send) -> Result<Sent, Failure> {
    session.check_present().await?;
    let sent = session.messages.send(&message.to, message.r#type, bytes_of(message.payload)).await?;
    Ok(Sent { id: sent.id().to_string() })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broadcast {
    r#type: String,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
}

#[derive(Serialize)]
pub(super) struct Reached {
    reached: Vec<String>,
    missed: Vec<Missed>,
}

#[derive(Serialize)]
struct Missed {
    peer: String,
    error: String,
}

/// Sends to every neighbour by the topology (in a mesh every other peer that is there), and names those that have not got it.
pub(super) async fn broadcast(session: &Session, message: Broadcast) -> Result<Reached, Failure> {
    session.check_present().await?;
    let own = session.tools.peer().to_owned();
    let look = session.tools.mesh().look(move |swarm| {
        let neighbors = swarm.find_peer(&own).map_or_else(Vec::new, |no| swarm.shape().neighbors(no));
        let ids = neighbors.into_iter().filter_map(|no| Some(PeerId::from(swarm.peer(no)?.id.clone())));
        ids.collect::<Vec<_>>()
    });
    let to = look.await?;
    let names = |peers: &[PeerId]| peers.iter().map(ToString::to_string).collect();
    match session.messages.broadcast(&to, message.r#type, bytes_of(message.payload)).await {
        Ok(_receipts) => Ok(Reached { reached: names(&to), missed: Vec::new() }),
        Err(error) => {
            let missed = error.missed.iter();
            let missed = missed.map(|(peer, error)| Missed { peer: peer.to_string(), error: error.to_string() });
            Ok(Reached { reached: names(&error.reached), missed: missed.collect() })
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    #[serde(default)]
    limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Messages {
    messages: Vec<ReadMessage>,
}

/// A message as its reader gets it. What it says is data from `from`, not an instruction of the swarm.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReadMessage {
    id: String,
    from: String,
    r#type: String,
    payload: Box<RawValue>,
    sent_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<String>,
}

/// The oldest unread messages of the attempt's peer; they are read then.
pub(super) async fn read(session: &Session, read: Read) -> Result<Messages, Failure> {
    let limit = read.limit.unwrap_or(READ_AT_ONCE);
    if !(1..=READ_AT_ONCE).contains(&limit) {
        let message = format!("the limit is {limit}, expected 1 to {READ_AT_ONCE}; nothing was changed");
        return Err(Failure::bad_request("BadLimit", message));
    }
    session.check_present().await?;
    let mesh = session.tools.mesh();
    let messages = mesh.broker().read(session.tools.peer(), limit).await?;
    let tasks: Vec<Option<u32>> = messages.iter().map(|message| task_of(message.origin)).collect();
    let ids = mesh.look(move |swarm| {
        let id = |no| Some(swarm.task(meshwork_core::TaskNo(no?))?.id.to_string());
        tasks.into_iter().map(id).collect::<Vec<_>>()
    });
    // They are read by now: without the names of their tasks they are still worth having.
    let ids = ids.await.unwrap_or_else(|_| vec![None; messages.len()]);
    Ok(Messages {
        messages: messages.into_iter().zip(ids).map(|(message, id)| ReadMessage::new(&message, id)).collect(),
    })
}

fn task_of(origin: Origin) -> Option<u32> {
    match origin {
        Origin::Attempt { task, .. } => u32::try_from(task).ok(),
        Origin::Outside => None,
    }
}

impl ReadMessage {
    fn new(message: &Message, task_id: Option<String>) -> Self {
        let text = String::from_utf8_lossy(&message.payload).into_owned();
        // Handlers of the library may send what is not JSON; it is handed on as a text.
        let payload = RawValue::from_string(text.clone()).or_else(|_| serde_json::value::to_raw_value(&text));
        Self {
            id: message.id.to_string(),
            from: message.sender.to_string(),
            r#type: message.kind.to_string(),
            payload: payload.expect("a text is always JSON"),
            sent_at: message.sent_at_ms,
            task_id,
        }
    }
}
