//! What can happen to a discovery, and what it may ask for: whoever has read both knows the machine.

/// How often it speaks, and when silence is too long. All in µs.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// In µs, since a moment of the caller's choice. It does not go back: silence is measured with it.
    pub us: u64,
    /// The wall clock, in ms since the epoch. It may jump: it only numbers what peers say.
    pub clock_ms: u64,
}

/// Whether a peer takes part.
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
    #[must_use]
    pub fn order(&self) -> (u64, u64) {
        (self.incarnation, self.stamp)
    }
}

/// How a peer was heard.
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
