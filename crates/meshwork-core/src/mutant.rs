//! Switches that break one rule each, so that model and simulator can show that they would notice.
//!
//! Without the feature `mutants` a [`Switch`] holds nothing and breaks nothing: the compiler removes
//! every question that is put to it, so none of this is in a release build.

/// Which rule is broken, if one is. Part of a swarm, because `apply` and the node's rules both ask it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switch {
    #[cfg(any(test, feature = "mutants"))]
    broken: Option<Mutant>,
    /// Differs from process to process, as the seed of an unordered map does.
    #[cfg(any(test, feature = "mutants"))]
    process: u64,
    /// The latest time that a batch carried, and whether the present one's is earlier.
    #[cfg(any(test, feature = "mutants"))]
    clock: (u64, bool),
}

#[cfg(any(test, feature = "mutants"))]
impl Switch {
    /// Whether this rule is broken here.
    pub(crate) fn breaks(self, rule: Mutant) -> bool {
        self.broken == Some(rule)
    }

    /// What a process has that no other one does.
    pub(crate) fn process(self) -> u64 {
        self.process
    }

    /// Whether the clock of the present batch's author is behind an earlier one's.
    pub(crate) fn clock_went_back(self) -> bool {
        self.clock.1
    }

    pub(crate) fn read_clock(&mut self, ms: u64) {
        self.clock = (ms.max(self.clock.0), ms < self.clock.0);
    }
}

#[cfg(not(any(test, feature = "mutants")))]
impl Switch {
    /// Whether this rule is broken here: never.
    #[inline(always)]
    pub(crate) const fn breaks(self, _rule: Mutant) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn process(self) -> u64 {
        0
    }

    #[inline(always)]
    pub(crate) const fn clock_went_back(self) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn read_clock(self, _ms: u64) {}
}

/// A rule that can be broken. Each is one sentence of the protocol, turned into its opposite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(not(any(test, feature = "mutants")), expect(unreachable_pub, reason = "exported with the feature alone"))]
pub enum Mutant {
    /// A `Return` is taken by its task alone: neither grant nor holder is looked at, as if attempt numbers were enough.
    ReturnWithoutGrant,
    /// An entry of a node that is not present is taken.
    AbsentAuthor,
    /// A batch that was applied already is applied again.
    DuplicateApplied,
    /// An author's missing batch is not missed.
    GapIgnored,
    /// What an author had applied is not compared with this log.
    RegressionIgnored,
    /// A Join is taken whatever it says it replaces.
    JoinWithoutReplaces,
    /// What a Join replaces stays present.
    ReplacedNotLost,
    /// A node is given up on although it has been heard since.
    HeardIgnored,
    /// A lost node's peers go one after the other, so that what one held is handed to the next.
    PeersOneByOne,
    /// The submission of a node that is lost stays open.
    SubmissionOfLostNodeOpen,
    /// A Seal closes the open round, whichever it names.
    SealOfAnyRound,
    /// A round closes without a seal.
    ClosesUnsealed,
    /// A round closes while a submission has more parts to come.
    MoreForgotten,
    /// A task that is submitted anew keeps its generation.
    GenerationNotRaised,
    /// A task of the same round with other content passes for the same task.
    OtherContentTaken,
    /// A child is accepted from an attempt that was given up on.
    ChildOfDeadAttempt,
    /// A returned task closes whatever its deficit is.
    ClosesWithOpenChildren,
    /// Open messages of a returned attempt raise no deficit.
    MessagesNotCounted,
    /// `Settled` of an earlier attempt takes off the deficit of a later one's messages.
    SettledWithoutGrant,
    /// A cancelled task's children are not cancelled.
    CancelLeavesChildren,
    /// Children that the last attempt did not adopt are not cancelled when it returns.
    OrphansKept,
    /// A later attempt submits a child again and does not adopt it.
    AdoptionForgotten,
    /// A child may depend on any task, its ancestors too.
    SiblingRuleIgnored,
    /// A task closes before its evidence is looked at.
    ClosesBeforeEvidence,
    /// A check that is lost runs the agent again.
    AgentRunsForCheck,
    /// A verdict of an earlier check is taken.
    CheckedWithoutGrant,
    /// Evidence that did not hold passes.
    FailedEvidencePasses,
    /// A task closes without the approvals that it needs.
    ClosesUnreviewed,
    /// One approval is enough, however many are needed.
    OneVoteDecides,
    /// A node leaves while its peers are up.
    LeavesWithPeers,
    /// A task that is lost again and again is tried for ever.
    CrashLimitIgnored,
    /// A task that fails is tried for ever.
    RetryLimitIgnored,
    /// An interruption counts as an attempt.
    InterruptionCosts,
    /// A result that is refused is not kept.
    RejectedForgotten,
    /// A dependant is released by a dependency that failed.
    FailureReleases,
    /// A parent that waits for its children keeps its slot.
    WaitKeepsSlot,
    /// A peer is given one task more than it has slots.
    SlotsExceeded,
    /// A peer that has work is paused as idle.
    IdlePauseAtWork,
    /// A paused peer is given work.
    PausedGetsWork,
    /// Peers of a lost node are visited in an order that differs from process to process.
    UnorderedMap,
    /// The end of a wait is not taken from a node whose clock is behind.
    ClockInApply,
    /// A changed record is not hashed anew.
    HashForgotten,
    /// An unanswered batch is appended again as a new one.
    ResendAsNew,
    /// A wish is answered when it is appended, not when it is read back.
    ActsBeforeApplied,
    /// Effects that are read in catching up are performed.
    ActsWhileCatchingUp,
    /// The bodies of other nodes' peers are started here too.
    ActsForOthers,
    /// A body starts although its grant was taken back in the same batch.
    StartsStaleGrant,
    /// A `Return` does not say that messages are open.
    MessagesForgotten,
    /// A cancelled attempt is returned before its process is gone.
    SlotFreedEarly,
    /// A node that reads of its own loss goes on as if it had not.
    OwnLossIgnored,
    /// A node joins anew while bodies of its lost incarnation run.
    JoinsWithBodies,
    /// The end of a wait is appended without waiting.
    DueEarly,
    /// Only the lowest present node measures waits.
    DueByFirstAlone,
    /// A node that joins does not measure the waits that are open.
    WaitsForgotten,
    /// A node that is suspected says nothing.
    SuspectedSilent,
    /// A result that was not stored when its node was lost is thrown away.
    ResultDropped,
}

#[cfg(any(test, feature = "mutants"))]
impl Mutant {
    /// Every mutant, with the name that commands and tables use, and what it breaks.
    pub const ALL: &[(Self, &str, &str)] = &[
        (
            Self::ReturnWithoutGrant,
            "return-without-grant",
            "A `Return` is taken by its task alone: neither grant nor holder is looked at, as if attempt numbers were enough.",
        ),
        (Self::AbsentAuthor, "absent-author", "An entry of a node that is not present is taken."),
        (Self::DuplicateApplied, "duplicate-applied", "A batch that was applied already is applied again."),
        (Self::GapIgnored, "gap-ignored", "An author's missing batch is not missed."),
        (Self::RegressionIgnored, "regression-ignored", "What an author had applied is not compared with this log."),
        (Self::JoinWithoutReplaces, "join-without-replaces", "A Join is taken whatever it says it replaces."),
        (Self::ReplacedNotLost, "replaced-not-lost", "What a Join replaces stays present."),
        (Self::HeardIgnored, "heard-ignored", "A node is given up on although it has been heard since."),
        (
            Self::PeersOneByOne,
            "peers-one-by-one",
            "A lost node's peers go one after the other, so that what one held is handed to the next.",
        ),
        (
            Self::SubmissionOfLostNodeOpen,
            "submission-of-lost-node-open",
            "The submission of a node that is lost stays open.",
        ),
        (Self::SealOfAnyRound, "seal-of-any-round", "A Seal closes the open round, whichever it names."),
        (Self::ClosesUnsealed, "closes-unsealed", "A round closes without a seal."),
        (Self::MoreForgotten, "more-forgotten", "A round closes while a submission has more parts to come."),
        (Self::GenerationNotRaised, "generation-not-raised", "A task that is submitted anew keeps its generation."),
        (
            Self::OtherContentTaken,
            "other-content-taken",
            "A task of the same round with other content passes for the same task.",
        ),
        (
            Self::ChildOfDeadAttempt,
            "child-of-dead-attempt",
            "A child is accepted from an attempt that was given up on.",
        ),
        (Self::ClosesWithOpenChildren, "closes-with-open-children", "A returned task closes whatever its deficit is."),
        (Self::MessagesNotCounted, "messages-not-counted", "Open messages of a returned attempt raise no deficit."),
        (
            Self::SettledWithoutGrant,
            "settled-without-grant",
            "`Settled` of an earlier attempt takes off the deficit of a later one's messages.",
        ),
        (Self::CancelLeavesChildren, "cancel-leaves-children", "A cancelled task's children are not cancelled."),
        (
            Self::OrphansKept,
            "orphans-kept",
            "Children that the last attempt did not adopt are not cancelled when it returns.",
        ),
        (Self::AdoptionForgotten, "adoption-forgotten", "A later attempt submits a child again and does not adopt it."),
        (Self::SiblingRuleIgnored, "sibling-rule-ignored", "A child may depend on any task, its ancestors too."),
        (Self::ClosesBeforeEvidence, "closes-before-evidence", "A task closes before its evidence is looked at."),
        (Self::AgentRunsForCheck, "agent-runs-for-check", "A check that is lost runs the agent again."),
        (Self::CheckedWithoutGrant, "checked-without-grant", "A verdict of an earlier check is taken."),
        (Self::FailedEvidencePasses, "failed-evidence-passes", "Evidence that did not hold passes."),
        (Self::ClosesUnreviewed, "closes-unreviewed", "A task closes without the approvals that it needs."),
        (Self::OneVoteDecides, "one-vote-decides", "One approval is enough, however many are needed."),
        (Self::LeavesWithPeers, "leaves-with-peers", "A node leaves while its peers are up."),
        (Self::CrashLimitIgnored, "crash-limit-ignored", "A task that is lost again and again is tried for ever."),
        (Self::RetryLimitIgnored, "retry-limit-ignored", "A task that fails is tried for ever."),
        (Self::InterruptionCosts, "interruption-costs", "An interruption counts as an attempt."),
        (Self::RejectedForgotten, "rejected-forgotten", "A result that is refused is not kept."),
        (Self::FailureReleases, "failure-releases", "A dependant is released by a dependency that failed."),
        (Self::WaitKeepsSlot, "wait-keeps-slot", "A parent that waits for its children keeps its slot."),
        (Self::SlotsExceeded, "slots-exceeded", "A peer is given one task more than it has slots."),
        (Self::IdlePauseAtWork, "idle-pause-at-work", "A peer that has work is paused as idle."),
        (Self::PausedGetsWork, "paused-gets-work", "A paused peer is given work."),
        (
            Self::UnorderedMap,
            "unordered-map",
            "Peers of a lost node are visited in an order that differs from process to process.",
        ),
        (Self::ClockInApply, "clock-in-apply", "The end of a wait is not taken from a node whose clock is behind."),
        (Self::HashForgotten, "hash-forgotten", "A changed record is not hashed anew."),
        (Self::ResendAsNew, "resend-as-new", "An unanswered batch is appended again as a new one."),
        (
            Self::ActsBeforeApplied,
            "acts-before-applied",
            "A wish is answered when it is appended, not when it is read back.",
        ),
        (Self::ActsWhileCatchingUp, "acts-while-catching-up", "Effects that are read in catching up are performed."),
        (Self::ActsForOthers, "acts-for-others", "The bodies of other nodes' peers are started here too."),
        (
            Self::StartsStaleGrant,
            "starts-stale-grant",
            "A body starts although its grant was taken back in the same batch.",
        ),
        (Self::MessagesForgotten, "messages-forgotten", "A `Return` does not say that messages are open."),
        (Self::SlotFreedEarly, "slot-freed-early", "A cancelled attempt is returned before its process is gone."),
        (Self::OwnLossIgnored, "own-loss-ignored", "A node that reads of its own loss goes on as if it had not."),
        (Self::JoinsWithBodies, "joins-with-bodies", "A node joins anew while bodies of its lost incarnation run."),
        (Self::DueEarly, "due-early", "The end of a wait is appended without waiting."),
        (Self::DueByFirstAlone, "due-by-first-alone", "Only the lowest present node measures waits."),
        (Self::WaitsForgotten, "waits-forgotten", "A node that joins does not measure the waits that are open."),
        (Self::SuspectedSilent, "suspected-silent", "A node that is suspected says nothing."),
        (Self::ResultDropped, "result-dropped", "A result that was not stored when its node was lost is thrown away."),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mutant, ..)| *mutant == self).map_or("unnamed", |(_, name, _)| name)
    }

    /// The mutant of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other, _)| *other == name).map(|(mutant, ..)| *mutant)
    }
}

#[cfg(any(test, feature = "mutants"))]
impl crate::Swarm {
    /// The same swarm, with one rule broken from now on. A snapshot does not carry it.
    #[must_use]
    pub fn broken_by(mut self, mutant: Option<Mutant>) -> Self {
        self.switch.broken = mutant;
        self
    }

    /// Names the process that this swarm lives in, for rules that are broken by depending on it.
    #[must_use]
    pub fn in_process(mut self, process: u64) -> Self {
        self.switch.process = process;
        self
    }
}
