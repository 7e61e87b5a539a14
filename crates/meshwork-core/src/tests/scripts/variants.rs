//! Lists of what there is, each from one exhaustive match: a new variant breaks the build here until it is
//! listed, and then the test until a script tells its story.

use crate::node::{Answer, Ask, Input};
use crate::{AttemptOutcome, DownReason, Effect, LimitKind, LogFault, Op, Outcome, PauseReason, Refusal};
use std::collections::BTreeSet;

macro_rules! variants {
    ($($list:ident $of:ident: $type:ident { $($variant:ident)+ })+) => {
        /// What a script can show, one list a type.
        pub(super) const ALL: &[(&str, &[&str])] = &[$((stringify!($type), $list)),+];
        $(
            const $list: &[&str] = &[$(stringify!($variant)),+];

            fn $of(value: &$type) -> &'static str {
                match value {
                    $($type::$variant { .. } => stringify!($variant)),+
                }
            }

            impl Shown for $type {
                fn shown(&self) -> (&'static str, &'static str) {
                    (stringify!($type), $of(self))
                }
            }
        )+
    };
}

/// Something that a trace can show: the name of its type, and of its variant.
pub(super) trait Shown {
    fn shown(&self) -> (&'static str, &'static str);
}

variants! {
    OPS op: Op {
        Open Configure Join NodeLost Alive PeerUp PeerDown Pause Resume Submit Return Settled Wait Checked Cancel
        Seal Due Rebalance Usage Progress Leave
    }
    EFFECTS effect: Effect {
        Start Continue Check Stop Await Paused Resumed Joined NodeLost PeerUp PeerDown RoundOpened Sealed
        RoundClosed Submitted Kept Amended Ready Assigned Unassigned Waiting AttemptEnded SettledTask CheckEnded
        Retry CancelMarked Closed NodeLeft ReviewOpened ReviewsOverLimit Voted ReviewEnded
    }
    REFUSALS refusal: Refusal {
        AlreadyOpen NotOpen NotPresent NotLastIncarnation Version HeardSince NoSuchNode NoSuchPeer PeerElsewhere
        NotIdle BadId OutOfRange Limit IdTaken UnknownDependency NotASibling StaleGrant NotHolder NoSuchTask Closed
        Cancelled NotAChild WaitsAlready NoMessagesOpen RoundNotOpen NoSuchWait EmptySubmission ReservedId
        PeersUp
    }
    LIMITS limit: LimitKind { Tasks Depth Children Peers Capabilities Dependencies Retries }
    FAULTS fault: LogFault { Hole AuthorGap LedgerRegressed TooManyEntries }
    OUTCOMES outcome: Outcome { Ok Failed TimedOut Lost Interrupted Cancelled Skipped Unverified Rejected }
    ENDS end: AttemptOutcome { Ok Failed TimedOut Lost Interrupted Cancelled Unverified Rejected }
    PAUSES pause: PauseReason { Idle User Budget RateLimit Shutdown }
    DOWNS down: DownReason { Left Died Shutdown Dismissed }
    INPUTS input: Input {
        Stored CaughtUp AppendFailed Wish BodyEnded CheckEnded MessagesSettled Fired Silent Suspected Shutdown
    }
    ASKS ask: Ask { Append Start Continue Check Stop Suspend Sleep Answer RoundClosed Left }
    ANSWERS answer: Answer { Accepted Refused TooLarge NodeLost }
}

/// What the traces of some scripts have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered {
    shown: BTreeSet<(&'static str, &'static str)>,
    /// Decisions that were accepted, and that were refused.
    accepted: BTreeSet<&'static str>,
    refused: BTreeSet<&'static str>,
}

impl Covered {
    pub(super) fn show(&mut self, value: &impl Shown) {
        self.shown.insert(value.shown());
    }

    /// A decision, and what became of it.
    pub(super) fn judged(&mut self, op: &Op, refusal: Option<&Refusal>) {
        self.show(op);
        match refusal {
            None => self.accepted.insert(op.shown().1),
            Some(refusal) => {
                self.show(refusal);
                if let Refusal::Limit { limit, .. } = refusal {
                    self.show(limit);
                }
                self.refused.insert(op.shown().1)
            }
        };
    }

    pub(super) fn join(&mut self, other: Self) {
        self.shown.extend(other.shown);
        self.accepted.extend(other.accepted);
        self.refused.extend(other.refused);
    }

    /// What no trace shows.
    pub(super) fn missing(&self) -> Vec<String> {
        let all = ALL.iter().flat_map(|(of, names)| names.iter().map(move |name| (*of, *name)));
        let unseen = all.filter(|variant| !self.shown.contains(variant)).map(|(of, name)| format!("{of}::{name}"));
        let not_in = |seen: &BTreeSet<&str>, what: &str| -> Vec<String> {
            let names = OPS.iter().filter(|name| !seen.contains(*name));
            names.map(|name| format!("Op::{name}, {what}")).collect()
        };
        unseen.chain(not_in(&self.accepted, "accepted")).chain(not_in(&self.refused, "refused")).collect()
    }
}
