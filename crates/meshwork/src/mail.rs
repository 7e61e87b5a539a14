//! The mail of agents in the database of the log: unread messages survive the node.
//!
//! The broker holds a sender's message open until `put` has answered, so a message that was acknowledged is durable.
//! Not here: mailboxes of peers on other machines.

use crate::broker::{
    Broker, Kind, MailStore, MailStoreError, Message, MessageId, Origin, PeerId, Recipient, RegisterError, StoredMail,
};
use crate::log::{Letter, Mail};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Messages of the broker, kept in [`Mail`].
///
/// ```
/// use meshwork::broker::{Broker, BrokerConfig};
/// use meshwork::log::SqliteLog;
/// use meshwork::mail::DurableMail;
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(DurableMail::new(log.mail())));
/// assert_eq!(broker.in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DurableMail {
    mail: Mail,
    /// The broker numbers messages anew in each run; the letters of all runs share one space of ids.
    run: String,
}

impl DurableMail {
    /// The store of one run.
    ///
    /// ```
    /// use meshwork::broker::MailStore as _;
    /// use meshwork::log::SqliteLog;
    /// use meshwork::mail::DurableMail;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
    /// let mail = DurableMail::new(log.mail());
    /// assert_eq!(mail.unread_count(&"ada".into()).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the operating system has no random source.
    #[must_use]
    pub fn new(mail: Mail) -> Self {
        Self { mail, run: crate::random::hex::<8>() }
    }

    /// What the message is called among all that its recipient ever got. A name given by its sender stands for the
    /// same message in a later run, too; a number of the broker does not.
    fn letter_id(&self, message: &Message) -> String {
        let sender = &*message.sender;
        match &message.id {
            MessageId::Name(name) => format!("name {}:{sender}:{name}", sender.len()),
            MessageId::Number(number) => format!("run {}:{number}", self.run),
        }
    }
}

impl MailStore for DurableMail {
    fn put(&self, message: Message) -> BoxFuture<'_, Result<(), MailStoreError>> {
        let id = self.letter_id(&message);
        let kept = Kept::from(&message);
        Box::pin(async move {
            let bytes = serde_json::to_vec(&kept).map_err(|error| MailStoreError::new(error.to_string()))?;
            // One that was stored before is there: its sender may take it as sent.
            let _new = self.mail.put(&message.recipient, &id, bytes.into()).await.map_err(failed)?;
            Ok(())
        })
    }

    fn unread<'a>(&'a self, peer: &'a PeerId, limit: usize) -> BoxFuture<'a, Result<Vec<StoredMail>, MailStoreError>> {
        Box::pin(async move {
            let letters = self.mail.unread(peer, limit).await.map_err(failed)?;
            letters.into_iter().map(|letter| to_stored(peer, &letter)).collect()
        })
    }

    fn unread_count<'a>(&'a self, peer: &'a PeerId) -> BoxFuture<'a, Result<usize, MailStoreError>> {
        Box::pin(async move {
            let counts = self.mail.count_unread().await.map_err(failed)?;
            let count = counts.into_iter().find(|(other, _)| **other == **peer).map_or(0, |(_, count)| count);
            Ok(usize::try_from(count).unwrap_or(usize::MAX))
        })
    }

    fn mark_read<'a>(&'a self, peer: &'a PeerId, keys: &'a [u64]) -> BoxFuture<'a, Result<(), MailStoreError>> {
        Box::pin(async move {
            let keys: BTreeSet<u64> = keys.iter().copied().collect();
            // The mailbox marks everything up to a letter, so only what is oldest can be marked, as its reader does.
            let oldest = self.mail.unread(peer, keys.len()).await.map_err(failed)?;
            let marked = oldest.iter().take_while(|letter| keys.contains(&letter.number)).last();
            if let Some(last) = marked {
                self.mail.mark_read(peer, last.number).await.map_err(failed)?;
            }
            let first_left = marked.map_or(0, |last| last.number + 1);
            match oldest.iter().find(|letter| letter.number >= first_left) {
                Some(older) if keys.range(older.number..).next().is_some() => {
                    Err(MailStoreError::new(format!("letter {} of {peer:?} is older and unread", older.number)))
                }
                _ => Ok(()),
            }
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: crate::log::LogError) -> MailStoreError {
    MailStoreError::new(error.to_string())
}

/// A message as the database has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: KeptId,
    kind: String,
    payload: Payload,
    sender: String,
    sent_at_ms: u64,
    /// Task and grant.
    attempt: Option<(u64, u64)>,
    hops: u8,
}

#[derive(Serialize, Deserialize)]
enum KeptId {
    Number(u64),
    Name(String),
}

/// JSON text by convention, so that is kept as text.
#[derive(Serialize, Deserialize)]
enum Payload {
    Text(String),
    Bytes(Vec<u8>),
}

impl From<&Message> for Kept {
    fn from(message: &Message) -> Self {
        let payload = match std::str::from_utf8(&message.payload) {
            Ok(text) => Payload::Text(text.to_owned()),
            Err(_) => Payload::Bytes(message.payload.to_vec()),
        };
        Self {
            id: match &message.id {
                MessageId::Number(number) => KeptId::Number(*number),
                MessageId::Name(name) => KeptId::Name(name.to_string()),
            },
            kind: message.kind.to_string(),
            payload,
            sender: message.sender.to_string(),
            sent_at_ms: message.sent_at_ms,
            attempt: match message.origin {
                Origin::Attempt { task, grant } => Some((task, grant)),
                Origin::Outside => None,
            },
            hops: message.hops,
        }
    }
}

fn to_stored(peer: &PeerId, letter: &Letter) -> Result<StoredMail, MailStoreError> {
    let kept: Kept = serde_json::from_slice(&letter.bytes)
        .map_err(|error| MailStoreError::new(format!("letter {} is not a message: {error}", letter.number)))?;
    let message = Message {
        id: match kept.id {
            KeptId::Number(number) => MessageId::Number(number),
            KeptId::Name(name) => MessageId::Name(name.into()),
        },
        kind: Kind::from(kept.kind),
        payload: match kept.payload {
            Payload::Text(text) => Bytes::from(text),
            Payload::Bytes(bytes) => Bytes::from(bytes),
        },
        sender: kept.sender.into(),
        recipient: peer.clone(),
        sent_at_ms: kept.sent_at_ms,
        origin: kept.attempt.map_or(Origin::Outside, |(task, grant)| Origin::Attempt { task, grant }),
        hops: kept.hops,
    };
    Ok(StoredMail { key: letter.number, message })
}

/// A letter as a message, kept again, for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn kept_again(letter: &Letter) -> Option<Vec<u8>> {
    let stored = to_stored(&PeerId::from("reader"), letter).ok()?;
    Some(serde_json::to_vec(&Kept::from(&stored.message)).expect("a message can be kept"))
}

/// Makes each of these peers one that reads its mail when it likes, as processes do. What was unread is still there.
///
/// ```
/// use meshwork::broker::{Broker, BrokerConfig};
/// use meshwork::log::SqliteLog;
/// use meshwork::mail::{DurableMail, register_mailboxes};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let log = SqliteLog::open(folder.path().join("swarm.db"))?;
/// let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(DurableMail::new(log.mail())));
/// register_mailboxes(&broker, ["ada", "bob"]).await?;
///
/// let _sent = broker.outside("ada").send("bob", "note", "look at line 3".into()).await?;
/// let read = broker.read("bob", 10).await?;
/// assert_eq!(read[0].payload, "look at line 3");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The first that could not be registered; those before it are.
pub async fn register_mailboxes<P: Into<PeerId>>(
    broker: &Broker,
    peers: impl IntoIterator<Item = P>,
) -> Result<(), RegisterError> {
    for peer in peers {
        broker.register(peer, Recipient::Mailbox).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::broker::{AttemptKey, BrokerConfig};
    use crate::log::{Log, SqliteLog};
    use std::path::Path;
    use std::sync::Arc;

    /// The broker of a run, as a node starts it.
    async fn run(path: &Path) -> (SqliteLog, Broker) {
        let log = SqliteLog::open(path.join("swarm.db")).unwrap();
        let (broker, _settled) = Broker::new(BrokerConfig::default(), Arc::new(DurableMail::new(log.mail())));
        register_mailboxes(&broker, ["reader", "writer"]).await.unwrap();
        (log, broker)
    }

    #[tokio::test]
    async fn unread_messages_survive_the_node_and_numbers_of_runs_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let (log, broker) = run(folder.path()).await;
        let body = broker.attempt_started("writer", AttemptKey { task: 3, grant: 7 });
        for payload in [&b"{\"n\":1}"[..], b"\xff\x00"] {
            let _receipt = body.send("reader", "note", Bytes::from_static(payload)).await.unwrap();
        }
        assert_eq!(broker.read("reader", 1).await.unwrap().len(), 1);
        let sent = body.send_named("named", "reader", "note", Bytes::from_static(b"1")).await.unwrap();
        assert_eq!(sent.id().to_string(), "named");
        drop((broker, body));
        log.close().await.unwrap();

        let (_log, broker) = run(folder.path()).await;
        assert_eq!(broker.metrics().queued["reader"], 2);
        let body = broker.attempt_started("writer", AttemptKey { task: 4, grant: 9 });
        // The same numbers as in the run before, and a name that was used there.
        let _receipt = body.send("reader", "later", Bytes::from_static(b"2")).await.unwrap();
        let _receipt = body.send("reader", "later", Bytes::from_static(b"3")).await.unwrap();
        let _receipt = body.send_named("named", "reader", "note", Bytes::from_static(b"1")).await.unwrap();
        let read = broker.read("reader", 9).await.unwrap();
        let payloads: Vec<&[u8]> = read.iter().map(|message| &*message.payload).collect();
        assert_eq!(payloads, [&b"\xff\x00"[..], b"1", b"2", b"3"]);
        assert_eq!((&*read[0].kind, &*read[0].sender, &*read[0].recipient), ("note", "writer", "reader"));
        assert_eq!(read[0].origin, Origin::Attempt { task: 3, grant: 7 });
        assert_eq!(read[1].id, MessageId::Name("named".into()));
        assert_eq!(broker.read("reader", 9).await.unwrap(), []);
    }

    #[tokio::test]
    async fn only_the_oldest_are_marked_as_read() {
        let folder = tempfile::tempdir().unwrap();
        let (log, broker) = run(folder.path()).await;
        for _ in 0..3 {
            let _receipt = broker.outside("writer").send("reader", "x", Bytes::new()).await.unwrap();
        }
        let (store, reader) = (DurableMail::new(log.mail()), PeerId::from("reader"));
        let keys: Vec<u64> = store.unread(&reader, 9).await.unwrap().iter().map(|stored| stored.key).collect();
        assert!(store.mark_read(&reader, &keys[1..2]).await.is_err());
        assert_eq!(store.unread_count(&reader).await.unwrap(), 3, "nothing that was not named is marked");
        store.mark_read(&reader, &keys[..2]).await.unwrap();
        store.mark_read(&reader, &keys[..2]).await.unwrap();
        assert_eq!(store.unread_count(&reader).await.unwrap(), 1);
    }
}
