//! The right to send: whose message it will be, and until when.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::{MutexGuard, TryAcquireError};
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

use super::ack::{Engagement, Parent, dead_lettered, not_sent};
use super::attempts::Attempt;
use super::dead_letters::DeadLetter;
use super::errors::{BroadcastError, DeadReason, Fate, SendError};
use super::lane::{Lane, Queued};
use super::letter::{Content, Letter, Receipt, Sent};
use super::mailbox::Mailbox;
use super::message::{Kind, MessageId, Origin, PeerId};
use super::metrics::Count;
use super::sender::{Moment, Sender};
use super::size;
use super::store::MailStoreError;
use crate::messaging;

/// A token to send with. It dies with what it was given to: the body of an attempt, one run of a
/// handler, or nothing at all when it is outside any task. A call that had begun before goes on
/// and is counted.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{AttemptKey, Recipient, SendError};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Mailbox).await?;
/// let attempt = AttemptKey { task: 7, grant: 1 };
/// let body = broker.attempt_started("ada", attempt);
/// body.send("ben", "question", Bytes::from_static(b"42")).await?;
/// let _end = broker.body_ended(attempt);
/// // The right to send ended with the body.
/// let refused = body.send("ben", "question", Bytes::from_static(b"43")).await;
/// assert!(matches!(refused, Err(SendError::TokenDead)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Context(Holder);

#[derive(Clone)]
enum Holder {
    Outside { sender: Arc<Sender> },
    Body { sender: Arc<Sender>, attempt: Arc<Attempt> },
    Handler { letter: Arc<Letter>, run: u32 },
}

/// A message that is to be sent, past all checks that need no waiting. Dropped, it was not sent.
struct Outgoing(Option<Arc<Letter>>);

impl Outgoing {
    /// It goes on its way: from here on it is the letter that holds what is above it.
    fn into_letter(mut self) -> Arc<Letter> {
        self.0.take().expect("only `into_letter`, which consumes it, takes the letter out")
    }

    fn letter(&self) -> &Arc<Letter> {
        self.0.as_ref().expect("only `into_letter`, which consumes it, takes the letter out")
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if let Some(letter) = &self.0 {
            not_sent(letter);
        }
    }
}

impl Context {
    pub(super) fn outside(sender: Arc<Sender>) -> Self {
        Self(Holder::Outside { sender })
    }

    pub(super) fn of_body(sender: Arc<Sender>, attempt: Arc<Attempt>) -> Self {
        Self(Holder::Body { sender, attempt })
    }

    pub(super) fn of_handler(letter: Arc<Letter>) -> Self {
        let run = letter.run();
        Self(Holder::Handler { letter, run })
    }

    /// The peer in whose name it sends.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// assert_eq!(broker.outside("ada").sender().as_str(), "ada");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sender(&self) -> &PeerId {
        &self.as_sender().id
    }

    /// On whose behalf: what is sent or submitted with it belongs there.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::{AttemptKey, Origin};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// assert_eq!(broker.outside("ada").origin(), Origin::Outside);
    /// let body = broker.attempt_started("ada", AttemptKey { task: 7, grant: 1 });
    /// assert_eq!(body.origin(), Origin::Attempt { task: 7, grant: 1 });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn origin(&self) -> Origin {
        match &self.0 {
            Holder::Outside { .. } => Origin::Outside,
            Holder::Body { attempt, .. } => Origin::Attempt { task: attempt.key.task, grant: attempt.key.grant },
            Holder::Handler { letter, .. } => letter.origin(),
        }
    }

    /// Whether it was given to a handler. A handler must not wait for tasks: they may wait for
    /// the message that it handles.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Fate, Handler, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// assert!(!broker.outside("ada").in_handler());
    /// let looks = Handler::sync(|context, _| {
    ///     assert!(context.in_handler());
    ///     Ok(())
    /// });
    /// broker.register("ben", Recipient::Handler(looks)).await?;
    /// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
    /// // It did not fail.
    /// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_handler(&self) -> bool {
        matches!(self.0, Holder::Handler { .. })
    }

    /// Whether a send would not be refused with [`SendError::TokenDead`] now.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::AttemptKey;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let attempt = AttemptKey { task: 7, grant: 1 };
    /// let body = broker.attempt_started("ada", attempt);
    /// assert!(body.is_alive());
    /// let _end = broker.body_ended(attempt);
    /// assert!(!body.is_alive());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match &self.0 {
            Holder::Outside { .. } => true,
            Holder::Body { attempt, .. } => attempt.deficit.is_active() && !attempt.is_dropped(),
            Holder::Handler { letter, run } => letter.may_send(*run),
        }
    }

    /// Cancelled when the attempt behind it is dropped, and for a handler when its time is over.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::AttemptKey;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// let attempt = AttemptKey { task: 7, grant: 1 };
    /// let told = broker.attempt_started("ada", attempt).cancellation();
    /// assert!(!told.is_cancelled());
    /// broker.drop_attempt(attempt);
    /// told.cancelled().await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        match &self.0 {
            Holder::Outside { .. } => CancellationToken::new(),
            Holder::Body { attempt, .. } => attempt.cancellation.clone(),
            Holder::Handler { letter, .. } => letter.cancellation(),
        }
    }

    /// Sends to one peer. Resolves when the message is stored with the recipient; a full mailbox
    /// is waited for, up to the broker's `send_deadline`. Dropped while it waits, nothing is sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Fate, Handler, Recipient, SendError};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// let ada = broker.outside("ada");
    /// let sent = ada.send("ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
    /// let refused = ada.send("nobody", "question", Bytes::from_static(b"42")).await;
    /// assert!(matches!(refused, Err(SendError::UnknownPeer { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]: nothing was sent.
    pub async fn send(&self, to: &str, kind: impl Into<Kind>, payload: Bytes) -> Result<Sent, SendError> {
        self.send_as(None, to, kind, payload).await
    }

    /// The same for a message that the caller names, because it may send it again. A name that
    /// this sender used to that recipient before is not delivered again: the receipt is the first
    /// message's. The broker remembers the last names, see `BrokerConfig::known_messages`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::Recipient;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let ada = broker.outside("ada");
    /// for _ in 0..2 {
    ///     ada.send_named("q1", "ben", "question", Bytes::from_static(b"42")).await?;
    /// }
    /// assert_eq!(broker.read("ben", 10).await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`]: nothing was sent.
    pub async fn send_named(
        &self,
        name: impl Into<Arc<str>>,
        to: &str,
        kind: impl Into<Kind>,
        payload: Bytes,
    ) -> Result<Sent, SendError> {
        self.send_as(Some(name.into()), to, kind, payload).await
    }

    /// Sends to one peer if that needs no waiting.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Handler, Recipient, SendError};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
    /// broker.register("eve", Recipient::Mailbox).await?;
    /// let ada = broker.outside("ada");
    /// assert!(ada.try_send("ben", "question", Bytes::from_static(b"42")).is_ok());
    /// let refused = ada.try_send("eve", "question", Bytes::from_static(b"42"));
    /// assert!(matches!(refused, Err(SendError::MustWait { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SendError::MailboxFull`] at once, [`SendError::MustWait`] for a peer whose mail is kept
    /// in a store, and what [`Context::send`] says.
    pub fn try_send(&self, to: &str, kind: impl Into<Kind>, payload: Bytes) -> Result<Sent, SendError> {
        let outgoing = match self.begin(None, to, kind.into(), payload)? {
            Begun::Outgoing(outgoing) => outgoing,
            Begun::Ended(receipt) => return Ok(Sent(receipt)),
        };
        let mailbox = &outgoing.letter().lane.mailbox;
        if mailbox.is_stored() {
            return Err(SendError::MustWait { peer: mailbox.peer().clone() });
        }
        if let Err(no) = outgoing.take_room() {
            return Err(no_room(mailbox, &no, Duration::ZERO));
        }
        Ok(deliver(outgoing))
    }

    /// Sends to many peers at once. Resolves when each of them has it; a peer whose mailbox is
    /// full does not delay the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::Recipient;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let everybody = ["ben", "eve"].map(Into::into);
    /// let error = broker.outside("ada").broadcast(&everybody, "news", Bytes::from_static(b"42")).await.unwrap_err();
    /// assert_eq!(error.reached, ["ben".into()]);
    /// assert_eq!(error.missed[0].0.as_str(), "eve");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Names those that have not got it, after every one was tried.
    pub async fn broadcast(
        &self,
        to: &[PeerId],
        kind: impl Into<Kind>,
        payload: Bytes,
    ) -> Result<Vec<Sent>, BroadcastError> {
        let kind = kind.into();
        let sends = to.iter().map(|peer| self.send(peer, kind.clone(), payload.clone()));
        let (mut reached, mut receipts, mut missed) = (Vec::new(), Vec::new(), Vec::new());
        for (peer, sent) in to.iter().zip(join_all(sends).await) {
            match sent {
                Ok(receipt) => {
                    reached.push(peer.clone());
                    receipts.push(receipt);
                }
                Err(error) => missed.push((peer.clone(), error)),
            }
        }
        if missed.is_empty() { Ok(receipts) } else { Err(BroadcastError { reached, missed }) }
    }

    async fn send_as(
        &self,
        name: Option<Arc<str>>,
        to: &str,
        kind: impl Into<Kind>,
        payload: Bytes,
    ) -> Result<Sent, SendError> {
        // A loop that sends must let the pumps run, or it only fills mailboxes.
        consume_budget().await;
        match self.begin(name, to, kind.into(), payload)? {
            Begun::Outgoing(outgoing) => self.send_outgoing(outgoing).await,
            Begun::Ended(receipt) => Ok(Sent(receipt)),
        }
    }

    /// Sends a whole message, by its name if it has one. A mailbox keeps type and payload of it.
    pub(super) async fn send_whole(&self, to: &str, message: Arc<messaging::Message>) -> Result<Sent, SendError> {
        consume_budget().await;
        match self.begin_whole(to, message)? {
            Begun::Outgoing(outgoing) => self.send_outgoing(outgoing).await,
            Begun::Ended(receipt) => Ok(Sent(receipt)),
        }
    }

    /// Sends a message that is complete, by a number of ours: whether it was sent before is not asked.
    pub(super) async fn send_unnamed(&self, to: &str, message: Arc<messaging::Message>) -> Result<Sent, SendError> {
        consume_budget().await;
        match self.begin_on(self.lane_to(to)?, None, |_| Content::whole(message))? {
            Begun::Outgoing(outgoing) => self.send_outgoing(outgoing).await,
            Begun::Ended(receipt) => Ok(Sent(receipt)),
        }
    }

    async fn send_outgoing(&self, outgoing: Outgoing) -> Result<Sent, SendError> {
        if !outgoing.letter().lane.mailbox.is_stored() && outgoing.take_room().is_ok() {
            return Ok(deliver(outgoing));
        }
        // Boxed: otherwise every send would be as large as one that waits.
        Box::pin(self.send_waiting(outgoing)).await
    }

    async fn send_waiting(&self, outgoing: Outgoing) -> Result<Sent, SendError> {
        if outgoing.take_room().is_ok() {
            return self.put(outgoing).await;
        }
        let lane = Arc::clone(&outgoing.letter().lane);
        let queued = lane.entry.queue();
        // Held until the message is in the lane.
        let _turn = self.wait_for_room(&lane, &queued).await?;
        self.put(outgoing).await
    }

    /// The room is taken; until it is filled or given back there is nothing to wait for.
    async fn put(&self, outgoing: Outgoing) -> Result<Sent, SendError> {
        if outgoing.letter().lane.mailbox.is_stored() { store(outgoing).await } else { Ok(deliver(outgoing)) }
    }

    async fn wait_for_room<'a>(&self, lane: &'a Lane, queued: &Queued<'a>) -> Result<MutexGuard<'a, ()>, SendError> {
        let (mailbox, waited) = (&lane.mailbox, self.as_sender().shared.config.send_deadline);
        let wait = async { (queued.turn().await, mailbox.room.acquire().await) };
        let (turn, room) = match tokio::time::timeout(waited, wait).await {
            Ok((turn, Ok(room))) => (turn, room),
            Ok((_, Err(_))) => return Err(no_room(mailbox, &TryAcquireError::Closed, waited)),
            Err(_) => return Err(no_room(mailbox, &TryAcquireError::NoPermits, waited)),
        };
        if self.is_dropped() {
            return Err(SendError::TokenDead);
        }
        room.forget();
        Ok(turn)
    }

    /// Everything about a send that needs no waiting. From here on it is counted.
    fn begin(&self, name: Option<Arc<str>>, to: &str, kind: Kind, payload: Bytes) -> Result<Begun, SendError> {
        let limit = self.as_sender().shared.config.max_message_bytes;
        if payload.len() > limit {
            return Err(SendError::TooLarge { limit, found: payload.len() });
        }
        self.begin_on(self.lane_to(to)?, name, |_| Content::Parts { kind, payload })
    }

    /// The same for a whole message, which gets its sender, its recipient and its number here.
    fn begin_whole(&self, to: &str, mut message: Arc<messaging::Message>) -> Result<Begun, SendError> {
        let lane = self.lane_to(to)?;
        let whole = Arc::make_mut(&mut message);
        whole.sender_id = Some(lane.sender.id.clone());
        whole.recipient_id = Some(lane.mailbox.peer().clone());
        whole.routing_type.get_or_insert(messaging::RoutingType::P2p);
        size::check(whole, lane.shared.config.max_message_bytes)?;
        let name = message.message_id.as_ref().map(MessageId::as_name);
        self.begin_on(lane, name, |id| {
            Arc::make_mut(&mut message).message_id = Some(id.clone());
            Content::whole(message)
        })
    }

    fn lane_to(&self, to: &str) -> Result<Arc<Lane>, SendError> {
        self.as_sender().lane_to(to).ok_or_else(|| SendError::UnknownPeer { peer: to.into() })
    }

    fn begin_on(
        &self,
        lane: Arc<Lane>,
        name: Option<Arc<str>>,
        content: impl FnOnce(&MessageId) -> Content,
    ) -> Result<Begun, SendError> {
        let (engagement, hops) = self.engage().ok_or(SendError::TokenDead)?;
        if let Some(name) = &name
            && let Some(receipt) = lane.known(name)
        {
            return Ok(Begun::Ended(receipt));
        }
        let id = name.map_or_else(|| lane.sender.next_id(), MessageId::Name);
        let content = content(&id);
        let letter = Arc::new(Letter::new(lane, id, content, engagement.into_parent(), hops));
        let outgoing = Outgoing(Some(letter));
        if hops > outgoing.letter().lane.shared.config.max_hops {
            return Ok(Begun::Ended(too_far(outgoing.letter())));
        }
        Ok(Begun::Outgoing(outgoing))
    }

    fn engage(&self) -> Option<(Engagement, u8)> {
        let (parent, hops) = match &self.0 {
            Holder::Outside { .. } => (Parent::Outside, 1),
            Holder::Body { attempt, .. } if attempt.is_dropped() => return None,
            Holder::Body { attempt, .. } => (Parent::Attempt(Arc::clone(attempt)), 1),
            Holder::Handler { letter, run } if !letter.may_send(*run) => return None,
            Holder::Handler { letter, .. } => (Parent::Message(Arc::clone(letter)), letter.hops.saturating_add(1)),
        };
        Engagement::below(parent).map(|engagement| (engagement, hops))
    }

    fn is_dropped(&self) -> bool {
        match &self.0 {
            Holder::Outside { .. } => false,
            Holder::Body { attempt, .. } => attempt.is_dropped(),
            Holder::Handler { letter, .. } => letter.is_dropped(),
        }
    }

    fn as_sender(&self) -> &Arc<Sender> {
        match &self.0 {
            Holder::Outside { sender } | Holder::Body { sender, .. } => sender,
            Holder::Handler { letter, .. } => &letter.lane.mailbox.owner,
        }
    }
}

enum Begun {
    Outgoing(Outgoing),
    /// The message exists already, or died at once.
    Ended(Receipt),
}

/// Gives the message to the recipient's pump, in the room that was taken for it.
fn deliver(outgoing: Outgoing) -> Sent {
    let letter = outgoing.into_letter();
    letter.accept();
    let lane = &letter.lane;
    if let MessageId::Name(name) = &letter.id
        && let Some(first) = lane.known_or_remember(name, &letter)
    {
        not_sent(&letter);
        lane.mailbox.make_room(1);
        return Sent(first);
    }
    lane.shared.counters.add(Count::Sent, 1);
    lane.sender.tell(Moment::Publish, &letter.id, lane.mailbox.peer());
    if !lane.push(Arc::clone(&letter)) {
        dead_lettered(&letter, DeadReason::RecipientGone);
    }
    Sent(Receipt::Letter(letter))
}

/// The room of a message that is being stored; given back unless it was stored.
struct RoomInStore {
    mailbox: Arc<Mailbox>,
    stored: bool,
}

impl Drop for RoomInStore {
    fn drop(&mut self) {
        if !self.stored {
            self.mailbox.make_room(1);
        }
    }
}

/// Puts the message into the mail store. It is acknowledged when it is there. A call that has
/// begun is not to be abandoned, or nobody would know whether its message takes room.
async fn store(outgoing: Outgoing) -> Result<Sent, SendError> {
    let lane = Arc::clone(&outgoing.letter().lane);
    let peer = lane.mailbox.peer().clone();
    let room_in_store = RoomInStore { mailbox: Arc::clone(&lane.mailbox), stored: false };
    let storing = lane.shared.runtime.spawn(put_in_order(outgoing, room_in_store));
    storing
        .await
        .unwrap_or_else(|failed| Err(SendError::Store { peer, error: MailStoreError::new(failed.to_string()) }))
}

async fn put_in_order(outgoing: Outgoing, mut room: RoomInStore) -> Result<Sent, SendError> {
    let letter = outgoing.letter();
    let lane = &letter.lane;
    let _in_order = lane.storing.lock().await;
    if let MessageId::Name(name) = &letter.id
        && let Some(first) = lane.known(name)
    {
        return Ok(Sent(first));
    }
    let shared = &lane.shared;
    let peer = lane.mailbox.peer();
    if lane.mailbox.is_gone() {
        return Err(SendError::RecipientGone { peer: peer.clone() });
    }
    letter.accept();
    let message = letter.to_message();
    let id = message.id.clone();
    lane.sender.tell(Moment::Publish, &id, peer);
    if let Err(error) = shared.store.put(message).await {
        lane.sender.tell(Moment::GiveUp, &id, peer);
        return Err(SendError::Store { peer: peer.clone(), error });
    }
    room.stored = true;
    shared.counters.add(Count::Sent, 1);
    shared.counters.add(Count::Acknowledged, 1);
    lane.remember_fate(&id, Fate::Acknowledged);
    lane.sender.tell(Moment::Acknowledge, &id, peer);
    Ok(Sent(Receipt::ended(id, Fate::Acknowledged)))
}

impl Outgoing {
    /// Takes room, if there is some and nobody of the same lane waits for it.
    fn take_room(&self) -> Result<(), TryAcquireError> {
        let lane = &self.letter().lane;
        match lane.mailbox.room.try_acquire() {
            Ok(taken) if lane.entry.is_free() => {
                taken.forget();
                Ok(())
            }
            // What was taken is given back here.
            Ok(_) => Err(TryAcquireError::NoPermits),
            Err(no) => Err(no),
        }
    }
}

/// A message too far from its task is accepted and dies at once: an endless exchange ends here,
/// and people can see between whom it went.
fn too_far(letter: &Letter) -> Receipt {
    let (lane, shared) = (&letter.lane, &letter.lane.shared);
    let reason = DeadReason::TooFar { hops: letter.hops, limit: shared.config.max_hops };
    letter.accept();
    let message = letter.to_message();
    let (id, at_ms) = (message.id.clone(), message.sent_at_ms);
    lane.sender.tell(Moment::Publish, &id, lane.mailbox.peer());
    shared.counters.add(Count::Sent, 1);
    shared.counters.add(Count::Dead, 1);
    lane.remember_fate(&id, Fate::DeadLettered(reason.clone()));
    lane.sender.tell(Moment::GiveUp, &id, lane.mailbox.peer());
    shared.dead.push(DeadLetter { message, reason: reason.clone(), at_ms });
    Receipt::ended(id, Fate::DeadLettered(reason))
}

fn no_room(mailbox: &Mailbox, no: &TryAcquireError, waited: Duration) -> SendError {
    let peer = mailbox.peer().clone();
    match no {
        TryAcquireError::Closed => SendError::RecipientGone { peer },
        TryAcquireError::NoPermits => SendError::MailboxFull { peer, limit: mailbox.capacity, waited },
    }
}
