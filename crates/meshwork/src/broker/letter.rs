//! One message to a handler, from being accepted to being closed.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context as Wakeup, Poll, Waker};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::ack::{Deficit, Parent};
use super::attempts::Attempt;
use super::errors::{DeadReason, Fate};
use super::lane::Lane;
use super::message::{Kind, Message, MessageId, Origin, PeerId};
use crate::messaging;

/// A message on its way. Shared by its lane, its handler, the messages that the handler sends
/// (they close towards it) and whoever waits for its acknowledgement.
pub(super) struct Letter {
    pub(super) lane: Arc<Lane>,
    pub(super) id: MessageId,
    pub(super) content: Content,
    /// On the broker's clock, in nanoseconds.
    accepted_ns: AtomicU64,
    pub(super) hops: u8,
    pub(super) parent: Parent,
    /// What its handler sent and what is not closed; passive when the handler has finished.
    pub(super) deficit: Deficit,
    /// Which run of its handler may send: a failed run may not, even if it kept its context.
    run: AtomicU32,
    fate: AtomicU8,
    aside: Mutex<Aside>,
}

/// Set in `Letter::fate`.
const ACKNOWLEDGED: u8 = 1;
const DEAD: u8 = 2;
/// Somebody waits for the fate: `Aside::waiting` has to be looked at.
const AWAITED: u8 = 4;

/// What not every message has.
#[derive(Default)]
struct Aside {
    /// Most messages have one waiter at most.
    waiting: Option<Waker>,
    rare: Option<Box<Rare>>,
}

/// What few messages have.
#[derive(Default)]
struct Rare {
    waiting: Vec<Waker>,
    reason: Option<DeadReason>,
    cancellation: Option<CancellationToken>,
}

impl Aside {
    fn take_waiting(&mut self) -> (Option<Waker>, Vec<Waker>) {
        let others = self.rare.as_mut().map(|rare| std::mem::take(&mut rare.waiting));
        (self.waiting.take(), others.unwrap_or_default())
    }

    fn wait(&mut self, waker: &Waker) {
        let there = self.waiting.get_or_insert_with(|| waker.clone());
        if there.will_wake(waker) {
            return;
        }
        let others = &mut self.rare.get_or_insert_default().waiting;
        if !others.iter().any(|other| other.will_wake(waker)) {
            others.push(waker.clone());
        }
    }
}

/// What a message carries.
pub(super) enum Content {
    /// A type and bytes.
    Parts {
        /// The type.
        kind: Kind,
        /// The bytes.
        payload: Bytes,
    },
    /// A whole message.
    Whole {
        /// The message.
        message: Arc<messaging::Message>,
        /// Its content as JSON text, once somebody has asked for it.
        text: OnceLock<Bytes>,
    },
}

impl Content {
    pub(super) fn whole(message: Arc<messaging::Message>) -> Self {
        Self::Whole { message, text: OnceLock::new() }
    }

    pub(super) fn kind(&self) -> &Kind {
        match self {
            Self::Parts { kind, .. } => kind,
            Self::Whole { message, .. } => &message.kind,
        }
    }

    pub(super) fn payload(&self) -> &Bytes {
        match self {
            Self::Parts { payload, .. } => payload,
            Self::Whole { message, text } => text.get_or_init(|| message.payload.to_string().into()),
        }
    }
}

impl Letter {
    /// A letter that is not on its way yet.
    pub(super) fn new(lane: Arc<Lane>, id: MessageId, content: Content, parent: Parent, hops: u8) -> Self {
        Self {
            lane,
            id,
            content,
            accepted_ns: AtomicU64::new(0),
            hops,
            parent,
            deficit: Deficit::default(),
            run: AtomicU32::new(0),
            fate: AtomicU8::new(0),
            aside: Mutex::default(),
        }
    }

    /// It is accepted now.
    pub(super) fn accept(&self) {
        self.accepted_ns.store(self.lane.shared.clock.now_ns(), Ordering::Relaxed);
    }

    pub(super) fn accepted_ns(&self) -> u64 {
        self.accepted_ns.load(Ordering::Relaxed)
    }

    /// The attempt that it belongs to. The walk is at most as long as the hop limit, mostly one
    /// step; keeping the attempt in each letter would cost two shared counts a message instead.
    pub(super) fn attempt(&self) -> Option<&Arc<Attempt>> {
        let mut parent = &self.parent;
        loop {
            match parent {
                Parent::Outside => return None,
                Parent::Attempt(attempt) => return Some(attempt),
                Parent::Message(letter) => parent = &letter.parent,
            }
        }
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.attempt().is_some_and(|attempt| attempt.is_dropped())
    }

    pub(super) fn origin(&self) -> Origin {
        self.attempt()
            .map_or(Origin::Outside, |attempt| Origin::Attempt { task: attempt.key.task, grant: attempt.key.grant })
    }

    /// Whether that run of its handler may still send.
    pub(super) fn may_send(&self, run: u32) -> bool {
        self.run() == run && self.deficit.is_active() && !self.is_dropped()
    }

    pub(super) fn run(&self) -> u32 {
        self.run.load(Ordering::Acquire)
    }

    /// The run of its handler failed: what it kept may not send any more.
    pub(super) fn end_run(&self) {
        self.run.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything below is closed. A dead letter stays dead.
    pub(super) fn acknowledge(&self) {
        if self.fate.load(Ordering::Acquire) & DEAD == 0 {
            self.lane.on_acknowledged(self);
            self.resolve(ACKNOWLEDGED);
        }
    }

    /// It will not be acknowledged. Its handler, if one runs, is told to stop.
    pub(super) fn die(&self, reason: DeadReason) {
        let cancellation = {
            let mut aside = self.aside();
            let rare = aside.rare.get_or_insert_default();
            rare.reason = Some(reason.clone());
            rare.cancellation.take()
        };
        if let Some(cancellation) = cancellation {
            cancellation.cancel();
        }
        self.lane.on_dead(self, reason);
        self.resolve(DEAD);
    }

    fn resolve(&self, fate: u8) {
        let before = self.fate.fetch_or(fate, Ordering::AcqRel);
        if before & AWAITED != 0 {
            let (first, others) = self.aside().take_waiting();
            first.into_iter().chain(others).for_each(Waker::wake);
        }
    }

    /// How it ended, once it has.
    pub(super) fn fate(&self) -> Option<Fate> {
        let fate = self.fate.load(Ordering::Acquire);
        if fate & ACKNOWLEDGED != 0 {
            return Some(Fate::Acknowledged);
        }
        if fate & DEAD == 0 {
            return None;
        }
        let reason = self.aside().rare.as_ref().and_then(|rare| rare.reason.clone());
        reason.map(Fate::DeadLettered)
    }

    pub(super) async fn resolved(&self) -> Fate {
        poll_fn(|wakeup| self.poll_resolved(wakeup)).await
    }

    fn poll_resolved(&self, wakeup: &Wakeup<'_>) -> Poll<Fate> {
        if let Some(fate) = self.fate() {
            return Poll::Ready(fate);
        }
        {
            let mut aside = self.aside();
            aside.wait(wakeup.waker());
            self.fate.fetch_or(AWAITED, Ordering::AcqRel);
        }
        // It may have ended in between, before it could see that somebody waits.
        self.fate().map_or(Poll::Pending, Poll::Ready)
    }

    /// The signal that its handler should stop: its attempt was dropped, or its time is over.
    pub(super) fn cancellation(&self) -> CancellationToken {
        let mut aside = self.aside();
        let rare = aside.rare.get_or_insert_default();
        let make = || match self.attempt() {
            Some(attempt) => attempt.cancellation.child_token(),
            None => CancellationToken::new(),
        };
        let token = rare.cancellation.get_or_insert_with(make).clone();
        let is_over = rare.reason.is_some() || !self.deficit.is_active();
        drop(aside);
        if is_over {
            token.cancel();
        }
        token
    }

    pub(super) fn to_message(&self) -> Message {
        Message {
            id: self.id.clone(),
            kind: self.content.kind().clone(),
            payload: self.content.payload().clone(),
            sender: self.lane.sender.id.clone(),
            recipient: self.lane.mailbox.peer().clone(),
            sent_at_ms: self.lane.shared.clock.epoch_ms(self.accepted_ns()),
            origin: self.origin(),
            hops: self.hops,
        }
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message as a handler gets it: one reference, whatever its size.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Handler, Recipient};
/// use tokio::sync::mpsc;
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// let (tell, mut heard) = mpsc::unbounded_channel();
/// let tells = Handler::sync(move |_, delivery| {
///     tell.send(format!("{} from {}", delivery.kind(), delivery.sender())).unwrap_or_default();
///     Ok(())
/// });
/// broker.register("ben", Recipient::Handler(tells)).await?;
/// broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!(heard.recv().await.as_deref(), Some("question from ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Delivery(pub(super) Arc<Letter>);

impl Delivery {
    /// What it is called.
    ///
    /// ```
    /// use meshwork::broker::MessageId;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// // Its sender gave it no name.
    /// assert!(matches!(delivery.id(), MessageId::Number(_)));
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.0.id
    }

    /// Its type.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// assert_eq!(delivery.kind(), "question");
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.content.kind()
    }

    pub(super) fn to_kind(&self) -> Kind {
        self.0.content.kind().clone()
    }

    /// Its content.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// assert_eq!(&**delivery.payload(), b"42");
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        self.0.content.payload()
    }

    /// Who sent it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// assert_eq!(delivery.sender().as_str(), "ada");
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sender(&self) -> &PeerId {
        &self.0.lane.sender.id
    }

    /// To whom it was sent.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// assert_eq!(delivery.recipient().as_str(), "ben");
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn recipient(&self) -> &PeerId {
        self.0.lane.mailbox.peer()
    }

    /// On whose behalf.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use meshwork::broker::Origin;
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// assert_eq!(delivery.origin(), Origin::Attempt { task: 7, grant: 1 });
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.0.origin()
    }

    /// How many messages lie between it and its task; 1 when a body sent it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// // A body sent it itself.
    /// assert_eq!(delivery.hops(), 1);
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn hops(&self) -> u8 {
        self.0.hops
    }

    /// When it was sent, in milliseconds since the epoch.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// // After 2020.
    /// assert!(delivery.sent_at_ms() > 1_577_836_800_000);
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn sent_at_ms(&self) -> u64 {
        self.0.lane.shared.clock.epoch_ms(self.0.accepted_ns())
    }

    /// The whole message, where it was sent as one.
    pub(super) fn whole(&self) -> Option<&Arc<messaging::Message>> {
        match &self.0.content {
            Content::Whole { message, .. } => Some(message),
            Content::Parts { .. } => None,
        }
    }

    /// The same as plain data.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, _settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// # let check: fn(&meshwork::broker::Delivery) = |delivery| {
    /// let message = delivery.to_message();
    /// assert_eq!((&*message.sender, &*message.recipient, &*message.payload), ("ada", "ben", &b"42"[..]));
    /// # };
    /// # let handler = meshwork::broker::Handler::sync(move |_, delivery| {
    /// #     check(delivery);
    /// #     Ok(())
    /// # });
    /// # broker.register("ben", meshwork::broker::Recipient::Handler(handler)).await?;
    /// # let body = broker.attempt_started("ada", meshwork::broker::AttemptKey { task: 7, grant: 1 });
    /// # let sent = body.send("ben", "question", bytes::Bytes::from_static(b"42")).await?;
    /// # assert_eq!(sent.acknowledged().await, meshwork::broker::Fate::Acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn to_message(&self) -> Message {
        self.0.to_message()
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_message().fmt(f)
    }
}

/// The receipt of a message that is stored with its recipient. Dropping it changes nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use meshwork::broker::{Fate, Handler, Recipient, Sent};
///
/// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
/// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
/// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Ok(())))).await?;
/// let sent: Sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
/// assert_eq!(sent.acknowledged().await, Fate::Acknowledged);
/// # Ok(())
/// # }
/// ```
#[must_use = "drop it where nobody needs to know when the message is acknowledged"]
pub struct Sent(pub(super) Receipt);

pub(super) enum Receipt {
    /// With a handler.
    Letter(Arc<Letter>),
    /// Ended when it was accepted, or before.
    ///
    /// Boxed: it is rare, and a receipt is handed through every send.
    Ended(Box<(MessageId, Fate)>),
}

impl Receipt {
    pub(super) fn ended(id: MessageId, fate: Fate) -> Self {
        Self::Ended(Box::new((id, fate)))
    }
}

impl Sent {
    /// What the message is called.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{MessageId, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// let sent = broker.outside("ada").send_named("q1", "ben", "question", Bytes::from_static(b"42")).await?;
    /// assert_eq!(sent.id(), &MessageId::Name("q1".into()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(&self) -> &MessageId {
        match &self.0 {
            Receipt::Letter(letter) => &letter.id,
            Receipt::Ended(ended) => &ended.0,
        }
    }

    /// Waits until the message is acknowledged or dead-lettered. Ends for every message: at the
    /// latest when the handlers below it have run out of time.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Fate, Handler, HandlerError, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Handler(Handler::sync(|_, _| Err(HandlerError::new("not today"))))).await?;
    /// let sent = broker.outside("ada").send("ben", "question", Bytes::from_static(b"42")).await?;
    /// let Fate::DeadLettered(why) = sent.acknowledged().await else { panic!("it can't be handled") };
    /// assert_eq!(why.to_string(), "its handler failed 4 times, the last time with: not today");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn acknowledged(&self) -> Fate {
        match &self.0 {
            Receipt::Letter(letter) => letter.resolved().await,
            Receipt::Ended(ended) => ended.1.clone(),
        }
    }

    /// How the message ended, if it has.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use bytes::Bytes;
    /// use meshwork::broker::{Fate, Handler, Recipient};
    ///
    /// # let store = std::sync::Arc::new(meshwork::broker::MailInMemory::default());
    /// # let (broker, mut settled) = meshwork::broker::Broker::new(Default::default(), store);
    /// broker.register("ben", Recipient::Mailbox).await?;
    /// broker.register("eve", Recipient::Handler(Handler::new(|_, _| std::future::pending()))).await?;
    /// let ada = broker.outside("ada");
    /// assert_eq!(ada.send("ben", "question", Bytes::from_static(b"42")).await?.fate(), Some(Fate::Acknowledged));
    /// assert_eq!(ada.send("eve", "question", Bytes::from_static(b"42")).await?.fate(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        match &self.0 {
            Receipt::Letter(letter) => letter.fate(),
            Receipt::Ended(ended) => Some(ended.1.clone()),
        }
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("id", self.id()).field("fate", &self.fate()).finish()
    }
}
