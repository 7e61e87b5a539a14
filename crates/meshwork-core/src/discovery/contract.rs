//! What can happen to a discovery, and what it may ask for: whoever has read both knows the machine.

/// How often it speaks, and when silence is too long. All in µs.
///
/// ```
/// use meshwork_core::discovery::Config;
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// assert!(config.timeout_us > 2 * config.heartbeat_us, "one heartbeat may be lost");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Between two queries. At least 1.
    pub discovery_us: u64,
    /// Between two heartbeats of each local peer. At least 1.
    pub heartbeat_us: u64,
    /// A peer that was not heard of for longer is stale.
    pub timeout_us: u64,
    /// Peers that are known at most; further ones are not taken in.
    pub peers_max: usize,
}

/// The time of an input. Both are the caller's.
///
/// ```
/// use meshwork_core::discovery::Now;
///
/// let now = Now { us: 1_500, clock_ms: 1_700_000_000_000 };
/// assert_eq!(now.us, 1_500, "µs since whatever moment the caller chose");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// In µs, since a moment of the caller's choice. It does not go back: silence is measured with it.
    pub us: u64,
    /// The wall clock, in ms since the epoch. It may jump: it only numbers what peers say.
    pub clock_ms: u64,
}

/// Whether a peer takes part.
///
/// ```
/// use meshwork_core::discovery::Standing;
///
/// assert_eq!(Standing::default(), Standing::Open);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It does.
    #[default]
    Open,
    /// It is there, and paused.
    Paused,
    /// It said good-bye, or is known to be dead.
    Gone,
}

/// What a peer is, apart from when it said so. `R` is what the machine only carries: load, state, statistics.
///
/// ```
/// use meshwork_core::discovery::{Profile, Standing};
///
/// /// What this machine only carries.
/// #[derive(Clone, Default, PartialEq)]
/// struct Load(u32);
///
/// let profile = Profile { capabilities: vec!["review".to_owned()], rest: Load(3), ..Profile::default() };
/// assert!(profile.standing == Standing::Open && profile.rest.0 == 3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile<R> {
    /// What it can do.
    pub capabilities: Vec<String>,
    /// Whether it takes part.
    pub standing: Standing,
    /// The rest.
    pub rest: R,
}

/// What a peer said of itself, once. Two of one peer are ordered by incarnation, then by stamp: the later one holds,
/// in whatever order they arrive.
///
/// ```
/// use meshwork_core::discovery::{Profile, Said};
///
/// let said = Said { incarnation: 1, stamp: 7, profile: Profile::<()>::default() };
/// let after_a_restart = Said { incarnation: 2, stamp: 1, ..said.clone() };
/// assert!(after_a_restart.order() > said.order());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Said<R> {
    /// Which life of the peer.
    pub incarnation: u64,
    /// Rises with everything that the peer says in one life: its wall clock in ms, or one more than before.
    pub stamp: u64,
    /// What it is.
    pub profile: Profile<R>,
}

impl<R> Said<R> {
    /// What orders two of one peer.
    ///
    /// ```
    /// use meshwork_core::discovery::Said;
    ///
    /// assert_eq!(Said::<()> { incarnation: 2, stamp: 5, ..Said::default() }.order(), (2, 5));
    /// ```
    #[must_use]
    pub fn order(&self) -> (u64, u64) {
        (self.incarnation, self.stamp)
    }
}

/// How a peer was heard.
///
/// ```
/// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let said = Said { incarnation: 1, stamp: 1, profile: Profile::<()>::default() };
/// let how = Heard::Announcement { answers_us: true };
/// let _ = discovery.handle(Input::Started, at(0));
/// let _ = discovery.handle(Input::Heard { peer: "bob".to_owned(), how, said }, at(40));
/// assert_eq!((discovery.statistics().answers, discovery.statistics().answer_us), (1, 40));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It announced itself.
    Announcement {
        /// Whether it answers a query of this side.
        answers_us: bool,
    },
    /// It said that it is alive.
    Heartbeat,
}

/// What happens to a discovery.
///
/// ```
/// use meshwork_core::discovery::Ask;
/// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile::<()>::default();
/// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
/// let _ = discovery.handle(Input::Started, at(0));
/// let asks = discovery.handle(Input::Queried { side: "side-2".to_owned() }, at(10));
/// assert!(matches!(&asks[..], [Ask::Announce { answers: Some(side), .. }] if side == "side-2"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input<R> {
    /// It begins: local peers are announced, and everybody else is asked for.
    Started,
    /// It ends: nothing is asked for any more. What is known stays known.
    Stopped,
    /// It is about another swarm from now on: peers of other sides are nobody's business any more.
    Elsewhere,
    /// A peer of this side is like this from now on. One that is new here begins a life; one that is gone is no longer
    /// of this side.
    Local {
        /// Its id.
        peer: String,
        /// What it is.
        profile: Profile<R>,
    },
    /// A peer spoke, here or elsewhere.
    Heard {
        /// Its id.
        peer: String,
        /// How.
        how: Heard,
        /// What.
        said: Said<R>,
    },
    /// A peer's stored word was read. That it lives is known only once it is heard.
    Recalled {
        /// Its id.
        peer: String,
        /// What was stored.
        said: Said<R>,
    },
    /// Another side asks who is there.
    Queried {
        /// Names that side, for the answer.
        side: String,
    },
    /// A timer that was asked for has run out.
    Fired(Timer),
}

/// What a discovery asks of the world. In order.
///
/// ```
/// use meshwork_core::discovery::{Ask, Timer};
/// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile::<()>::default();
/// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
/// let asks = discovery.handle(Input::Started, at(0));
/// assert_eq!(asks.last(), Some(&Ask::Sleep { timer: Timer::Heartbeat { run: 1 }, us: 1_000_000 }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ask<R> {
    /// Ask every other side who is there.
    Query,
    /// Tell everybody what a local peer is.
    Announce {
        /// Its id.
        peer: String,
        /// What it says.
        said: Said<R>,
        /// The side whose query this answers.
        answers: Option<String>,
    },
    /// Tell everybody that a local peer is alive.
    Heartbeat {
        /// Its id.
        peer: String,
        /// What it says.
        said: Said<R>,
    },
    /// Keep what a local peer said for those that join later.
    Store {
        /// Its id.
        peer: String,
        /// What it said.
        said: Said<R>,
    },
    /// Give this timer back after so many µs.
    Sleep {
        /// The timer.
        timer: Timer,
        /// How long.
        us: u64,
    },
    /// Whoever waits for peers may look again.
    Look,
}

/// A timer, as a value; one of an earlier run is recognised.
///
/// ```
/// use meshwork_core::discovery::{Ask, Timer};
/// use meshwork_core::discovery::{Config, Discovery, Input, Now, Profile};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile::<()>::default();
/// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
/// let _ = discovery.handle(Input::Started, at(0));
/// let asks = discovery.handle(Input::Fired(Timer::Heartbeat { run: 1 }), at(1_000_000));
/// assert!(matches!(&asks[0], Ask::Heartbeat { peer, .. } if peer == "ada"));
/// assert!(discovery.handle(Input::Fired(Timer::Heartbeat { run: 9 }), at(1_000_000)).is_empty(), "stale");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The next query.
    Discovery {
        /// Which run asked for it.
        run: u64,
    },
    /// The next heartbeat of every local peer.
    Heartbeat {
        /// Which run asked for it.
        run: u64,
    },
}

/// What was counted since the discovery was made.
///
/// ```
/// use meshwork_core::discovery::{Config, Discovery, Heard, Input, Now, Profile, Said};
///
/// let config = Config { discovery_us: 5_000_000, heartbeat_us: 1_000_000, timeout_us: 3_000_000, peers_max: 10 };
/// let mut discovery = Discovery::new(config);
/// let at = |us| Now { us, clock_ms: 1_000 + us / 1_000 };
/// let profile = Profile::<()>::default();
/// let _ = discovery.handle(Input::Local { peer: "ada".to_owned(), profile }, at(0));
/// // Somebody else speaks in the name of a peer of this side.
/// let said = Said { incarnation: u64::MAX, stamp: 1, profile: Profile::default() };
/// let _ = discovery.handle(Input::Heard { peer: "ada".to_owned(), how: Heard::Heartbeat, said }, at(10));
/// assert_eq!(discovery.statistics().contested, 1);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Announcements of peers of other sides that came.
    pub announcements_received: u64,
    /// Answers to a query of this side, one a peer and query.
    pub answers: u64,
    /// From the query to each of these, in µs, in all.
    pub answer_us: u64,
    /// Words of other peers that said nothing newer than what was known: late ones, repeated ones.
    pub outdated: u64,
    /// Peers that were not taken in, because too many are known; one a word.
    pub refused: u64,
    /// Words in the name of a local peer that it did not say in this life: another life of it, or another of its name.
    pub contested: u64,
}
