//! Why a task is where it is: a pure function that returns data, and a sentence.

use crate::class::has_all;
use crate::ids::{Grant, PeerNo, TaskNo};
use crate::op::PauseReason;
use crate::peer::Peer;
use crate::swarm::Swarm;
use crate::task::{Outcome, Phase};
use std::fmt;

/// The answer for one task.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
/// let build = swarm.find_task("build").expect("it was submitted");
/// let explanation = swarm.explain(build).expect("a task");
/// assert_eq!((explanation.state, explanation.attempt, explanation.closed), ("running", 1, false));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its id.
    pub task: String,
    /// The word of the contracts: `pending`, `assigned`, `running`, `completed`, `failed`.
    pub state: &'static str,
    /// How it closed, when it is closed.
    pub outcome: Option<Outcome>,
    /// Why it is where it is.
    pub reason: Reason,
    /// The agent said that it was done.
    pub returned: bool,
    /// Its children and messages too.
    pub settled: bool,
    /// Its evidence held and its reviewers approved; `None` when it has to show none.
    pub verified: Option<bool>,
    /// It is closed.
    pub closed: bool,
    /// Number of its last attempt; 0 before the first.
    pub attempt: u32,
    /// Attempts that failed, were lost, were interrupted by a node's death.
    pub ended_badly: [u32; 3],
    /// Results that came from grants that were given up on.
    pub rejected: usize,
    /// What every peer that is up has to say, for a task that waits for one.
    pub peers: Vec<PeerVerdict>,
}

/// Why a peer does not run a waiting task.
///
/// ```
/// use meshwork_core::PeerVerdict;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let task = TaskSpec { requires: vec!["welding".to_owned()], ..TaskSpec::new("frame") };
/// let _ = write(&mut swarm, vec![submit([task])])?;
/// let explanation = swarm.explain(TaskNo(0)).expect("a task");
/// let (peer, missing) = ("ada".to_owned(), vec!["welding".to_owned()]);
/// assert_eq!(explanation.peers, [PeerVerdict::Lacks { peer, missing }]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerVerdict {
    /// It lacks capabilities.
    Lacks {
        /// The peer.
        peer: String,
        /// Which.
        missing: Vec<String>,
    },
    /// It is paused.
    Paused {
        /// The peer.
        peer: String,
        /// Why.
        reason: PauseReason,
    },
    /// All its slots are taken.
    Full {
        /// The peer.
        peer: String,
        /// Slots in use.
        busy: u32,
        /// Tasks that wait there.
        waiting: usize,
    },
    /// Its node holds all the sessions that it may, or a budget leaves nothing for it.
    Starved {
        /// The peer.
        peer: String,
    },
    /// It failed this task before, and somebody else can take it.
    Avoided {
        /// The peer.
        peer: String,
    },
}

/// Why a task is where it is.
///
/// ```
/// use meshwork_core::Reason;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), meshwork_core::LogFault> {
///
/// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
/// let test = TaskSpec { dependencies: vec!["build".to_owned()], ..TaskSpec::new("test") };
/// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build"), test])])?;
/// let reason = swarm.explain(TaskNo(1)).expect("a task").reason;
/// assert_eq!(reason, Reason::Dependencies { open: vec!["build".to_owned()] });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its submission has not ended.
    SubmissionOpen,
    /// It waits for others.
    Dependencies {
        /// Those that are open.
        open: Vec<String>,
    },
    /// No peer that is up has what it requires.
    NoCapablePeer {
        /// What no peer has; empty when peers have each of it, but none has all.
        missing: Vec<String>,
        /// All that it requires.
        requires: Vec<String>,
    },
    /// Those that could take it are not up: their node does not run, or they left.
    CapableGone {
        /// Who.
        peers: Vec<String>,
    },
    /// Those that could take it are paused.
    CapablePaused {
        /// Who, and why.
        peers: Vec<(String, PauseReason)>,
    },
    /// Those that could take it are full.
    NoFreeSlot {
        /// Who.
        peers: Vec<String>,
    },
    /// A further attempt comes.
    Backoff {
        /// After this many ms from the last one.
        ms: u64,
        /// Number of the last attempt.
        after: u32,
    },
    /// It waits at a peer.
    Assigned {
        /// Which.
        peer: String,
        /// How many are ahead of it there.
        ahead: usize,
        /// Why it does not start.
        starved: bool,
    },
    /// It runs.
    Running {
        /// Where.
        peer: String,
        /// Its fencing token.
        grant: Grant,
    },
    /// It runs, and is to end.
    Stopping {
        /// Where.
        peer: String,
    },
    /// It gave up its slot for its children.
    WaitsForChildren {
        /// Those that are open.
        open: Vec<String>,
    },
    /// Its children are closed; it is first in line.
    InLine {
        /// Where.
        peer: String,
    },
    /// It returned, and children or messages are open.
    Settling {
        /// Children that are open.
        children: Vec<String>,
        /// Messages are open.
        messages: bool,
        /// How it will end, when that is decided.
        ending: Option<Outcome>,
    },
    /// It returned and settled; its evidence waits for a slot.
    EvidenceWaits {
        /// Where.
        peer: String,
    },
    /// Its evidence is looked at.
    Checking {
        /// Where.
        peer: String,
    },
    /// Its evidence held; its reviewers vote.
    Reviewing {
        /// Approvals so far.
        approvals: u32,
        /// Approvals that it needs.
        needed: u32,
        /// Reviews that are open.
        open: Vec<String>,
        /// Why the first of these is where it is.
        first: Option<Box<Reason>>,
    },
    /// It ended unreviewed, because there was no room for its reviews within the limits of the swarm.
    ReviewsOverLimit,
    /// Completed.
    Completed,
    /// A dependency did not close ok.
    DependencyFailed {
        /// Which.
        dependency: String,
        /// How it closed.
        outcome: Option<Outcome>,
        /// This one was skipped rather than failed.
        skipped: bool,
    },
    /// It was cancelled.
    Cancelled,
    /// Its attempts were lost too often.
    Quarantined {
        /// How often.
        crashes: u32,
    },
    /// Its last attempt ended badly, and no retry is left.
    OutOfRetries {
        /// How it ended.
        outcome: Outcome,
        /// How many attempts failed, or were interrupted where that is the outcome.
        failures: u32,
    },
}

impl Swarm {
    /// Why a task is where it is; `None` for an unknown number.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), meshwork_core::LogFault> {
    /// let mut swarm = swarm(); // one node with one peer, ada, who has one slot
    /// let _ = write(&mut swarm, vec![submit([TaskSpec::new("build")])])?;
    /// let build = swarm.find_task("build").expect("it was submitted");
    /// let reason = swarm.explain(build).expect("a task").reason;
    /// assert_eq!(reason.to_string(), "runs at \"ada\" under grant 3.0");
    /// assert_eq!(swarm.explain(TaskNo(9)), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain(&self, no: TaskNo) -> Option<Explanation> {
        let task = self.task(no)?;
        let outcome = match task.phase {
            Phase::Closed { outcome } => Some(outcome),
            _ => None,
        };
        let closed_ok = outcome == Some(Outcome::Ok);
        let reviewing = task.phase == Phase::Reviewing;
        let after_return =
            matches!(task.phase, Phase::Returned | Phase::Settled { .. } | Phase::Checking { .. }) || reviewing;
        let unverified = matches!(outcome, Some(Outcome::Unverified | Outcome::Rejected));
        let returned = closed_ok || unverified || after_return && task.ending.is_none() || task.check;
        let waits = matches!(task.phase, Phase::Ready | Phase::Assigned { .. });
        Some(Explanation {
            task: task.id.to_string(),
            state: task.phase.word(),
            outcome,
            reason: self.reason(no),
            returned,
            settled: returned && (task.deficit == 0 || reviewing),
            verified: (task.verify || task.review.is_some()).then_some(closed_ok),
            closed: outcome.is_some(),
            attempt: task.attempt,
            ended_badly: [task.failures, task.crashes, task.interruptions],
            rejected: self.rejected(no).count(),
            peers: if waits { self.verdicts(no) } else { Vec::new() },
        })
    }

    fn reason(&self, no: TaskNo) -> Reason {
        let task = &self.tasks[no.index()];
        match task.phase {
            Phase::Blocked => self.blocked_reason(no),
            Phase::Ready => self.ready_reason(no),
            Phase::Backoff { wait } => {
                Reason::Backoff { ms: self.waits.get(&wait).map_or(0, |wait| wait.ms), after: task.attempt }
            }
            Phase::Assigned { peer } => {
                let at = &self.peers[peer.index()];
                let ahead = at.assigned.range(..(task.rank, no)).count();
                Reason::Assigned { peer: at.id.to_string(), ahead, starved: at.starved }
            }
            Phase::Running { peer, .. } if task.cancelled => Reason::Stopping { peer: self.peer_id(peer) },
            Phase::Running { peer, grant } => Reason::Running { peer: self.peer_id(peer), grant },
            Phase::Waiting { .. } => Reason::WaitsForChildren { open: self.open_children(no) },
            Phase::InLine { peer, .. } => Reason::InLine { peer: self.peer_id(peer) },
            Phase::Returned => {
                let (messages, ending) = (task.messages_open, task.ending);
                Reason::Settling { children: self.open_children(no), messages, ending }
            }
            Phase::Settled { peer } => Reason::EvidenceWaits { peer: self.peer_id(peer) },
            Phase::Checking { peer, .. } => Reason::Checking { peer: self.peer_id(peer) },
            Phase::Reviewing => self.reviewing_reason(no),
            Phase::Closed { outcome } => self.closed_reason(no, outcome),
        }
    }

    fn blocked_reason(&self, no: TaskNo) -> Reason {
        let task = &self.tasks[no.index()];
        let open = |d: &&TaskNo| !self.tasks[d.index()].phase.is_closed();
        let open: Vec<String> =
            task.dependencies.iter().filter(open).map(|d| self.tasks[d.index()].id.to_string()).collect();
        if open.is_empty() { Reason::SubmissionOpen } else { Reason::Dependencies { open } }
    }

    fn ready_reason(&self, no: TaskNo) -> Reason {
        let wants = &self.index.classes.requirement(self.tasks[no.index()].class).capabilities;
        let up = || self.peers.iter().filter(|peer| peer.up);
        let capable: Vec<&Peer> = up().filter(|peer| has_all(&peer.capabilities, wants)).collect();
        if capable.is_empty() {
            let gone = self.peers.iter().filter(|peer| !peer.up && has_all(&peer.capabilities, wants));
            let gone: Vec<String> = gone.map(|peer| peer.id.to_string()).collect();
            if !gone.is_empty() {
                return Reason::CapableGone { peers: gone };
            }
            let nobody = |cap: &&crate::ids::CapNo| !self.peers.iter().any(|peer| peer.capabilities.contains(cap));
            let name = |cap: &crate::ids::CapNo| self.capabilities[cap.index()].to_string();
            let missing = wants.iter().filter(nobody).map(name).collect();
            return Reason::NoCapablePeer { missing, requires: wants.iter().map(name).collect() };
        }
        if capable.iter().all(|peer| !peer.is_open()) {
            let paused = capable.iter().filter_map(|peer| Some((peer.id.to_string(), peer.paused?)));
            return Reason::CapablePaused { peers: paused.collect() };
        }
        let open = capable.iter().filter(|peer| peer.is_open());
        Reason::NoFreeSlot { peers: open.map(|peer| peer.id.to_string()).collect() }
    }

    fn reviewing_reason(&self, no: TaskNo) -> Reason {
        let mut open: Vec<TaskNo> =
            self.reviews(no).filter(|review| !self.tasks[review.index()].phase.is_closed()).collect();
        open.reverse();
        Reason::Reviewing {
            approvals: self.votes(no).approvals,
            needed: self.tasks[no.index()].review.map_or(0, |terms| terms.approvals),
            first: open.first().map(|review| Box::new(self.reason(*review))),
            open: open.into_iter().map(|review| self.tasks[review.index()].id.to_string()).collect(),
        }
    }

    fn closed_reason(&self, no: TaskNo, outcome: Outcome) -> Reason {
        let task = &self.tasks[no.index()];
        if let Some(failed) = task.because {
            let other = &self.tasks[failed.index()];
            let how = match other.phase {
                Phase::Closed { outcome } => Some(outcome),
                _ => None,
            };
            let skipped = outcome == Outcome::Skipped;
            return Reason::DependencyFailed { dependency: other.id.to_string(), outcome: how, skipped };
        }
        match outcome {
            Outcome::Ok => Reason::Completed,
            Outcome::Cancelled | Outcome::Skipped => Reason::Cancelled,
            Outcome::Lost => Reason::Quarantined { crashes: task.crashes },
            Outcome::Interrupted => Reason::OutOfRetries { outcome, failures: task.interruptions },
            // Who is not approved ends when no retry is left; no room ends it at once.
            Outcome::Rejected if task.failures <= task.retries => Reason::ReviewsOverLimit,
            Outcome::Failed | Outcome::TimedOut | Outcome::Unverified | Outcome::Rejected => {
                Reason::OutOfRetries { outcome, failures: task.failures }
            }
        }
    }

    /// What every peer that is up has to say to a task that waits.
    fn verdicts(&self, no: TaskNo) -> Vec<PeerVerdict> {
        let wants = self.index.classes.requirement(self.tasks[no.index()].class);
        let up = self.peers().filter(|(_, peer)| peer.up);
        up.map(|(peer_no, at)| {
            let peer = at.id.to_string();
            let missing: Vec<String> = wants
                .capabilities
                .iter()
                .filter(|cap| !at.capabilities.contains(cap))
                .map(|cap| self.capabilities[cap.index()].to_string())
                .collect();
            if !missing.is_empty() {
                PeerVerdict::Lacks { peer, missing }
            } else if let Some(reason) = at.paused.filter(|_| !at.is_open()) {
                PeerVerdict::Paused { peer, reason }
            } else if !self.eligible_bits(no).contains(peer_no.index()) {
                PeerVerdict::Avoided { peer }
            } else if at.busy < at.slots {
                PeerVerdict::Starved { peer }
            } else {
                PeerVerdict::Full { peer, busy: at.busy, waiting: at.assigned.len() }
            }
        })
        .collect()
    }

    fn peer_id(&self, no: PeerNo) -> String {
        self.peers[no.index()].id.to_string()
    }

    fn open_children(&self, no: TaskNo) -> Vec<String> {
        let children = self.children(no).map(|child| &self.tasks[child.index()]);
        children.filter(|child| !child.phase.is_closed()).map(|child| child.id.to_string()).collect()
    }
}

/// `1 attempt`, `2 attempts`.
fn times(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A few names, and how many more there are.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How many approvals are missing, from whom, and why the first of these has not voted yet.
fn write_reviewing(
    f: &mut fmt::Formatter<'_>,
    more: u32,
    needed: u32,
    open: &[String],
    first: Option<&Reason>,
) -> fmt::Result {
    if more == 0 {
        return write!(f, "is approved, and its other reviews {} are being ended", some(open));
    }
    write!(f, "waits for {} of {needed} from {}", times(more, "more approval"), some(open))?;
    match (first, open.first()) {
        (Some(first), Some(review)) => write!(f, "; {review:?} {first}"),
        _ => Ok(()),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubmissionOpen => write!(f, "waits until the rest of its submission has come"),
            Self::Dependencies { open } => write!(f, "waits for {}", some(open)),
            Self::NoCapablePeer { requires, .. } if requires.is_empty() => {
                write!(f, "can never run here: no peer is up")
            }
            Self::NoCapablePeer { missing, requires } if missing.is_empty() => {
                write!(f, "can never run here: no single peer has all of {}", some(requires))
            }
            Self::NoCapablePeer { missing, .. } => {
                write!(f, "can never run here: no peer has the capability {}", some(missing))
            }
            Self::CapableGone { peers } => write!(f, "waits until a peer that can run it is up again: {}", some(peers)),
            Self::CapablePaused { peers } => {
                let named: Vec<String> = peers.iter().map(|(peer, why)| format!("{peer:?} ({})", why.word())).collect();
                write!(f, "waits for a peer to be resumed: {}", named.join(", "))
            }
            Self::NoFreeSlot { peers } => write!(f, "waits for a free slot of {}", some(peers)),
            Self::Backoff { ms, after } => {
                write!(f, "attempt {after} did not end well; the next one comes {ms} ms after it")
            }
            Self::Assigned { peer, starved: true, .. } => {
                write!(f, "waits at {peer:?} for a session or for tokens of the budget")
            }
            Self::Assigned { peer, ahead, .. } => write!(f, "waits at {peer:?} for a slot, {ahead} ahead of it"),
            Self::Running { peer, grant } => write!(f, "runs at {peer:?} under grant {grant}"),
            Self::Stopping { peer } => write!(f, "was cancelled, and is being ended at {peer:?}"),
            Self::WaitsForChildren { open } => write!(f, "gave up its slot and waits for its children {}", some(open)),
            Self::InLine { peer } => write!(f, "its children are closed; first in line for a slot of {peer:?}"),
            Self::Settling { children, messages, ending } => {
                match ending {
                    Some(outcome) => write!(f, "will end as {}", outcome.word())?,
                    None => write!(f, "returned")?,
                }
                match (children.is_empty(), messages) {
                    (false, _) => write!(f, ", and its children {} are open", some(children)),
                    (true, _) => write!(f, ", and messages that it sent are not acknowledged"),
                }
            }
            Self::EvidenceWaits { peer } => {
                write!(f, "returned; its evidence waits for a slot of {peer:?}")
            }
            Self::Checking { peer } => write!(f, "returned; its evidence is looked at on {peer:?}"),
            Self::Reviewing { approvals, needed, open, first } => {
                write_reviewing(f, needed.saturating_sub(*approvals), *needed, open, first.as_deref())
            }
            Self::ReviewsOverLimit => {
                write!(f, "ended as rejected: its reviews would be over a limit on tasks, on depth or on children")
            }
            Self::Completed => write!(f, "completed"),
            Self::DependencyFailed { dependency, outcome, skipped } => {
                let how = outcome.map_or("open", Outcome::word);
                let what = if *skipped { "was skipped" } else { "failed without running" };
                write!(f, "{what}, because {dependency:?} is {how}")
            }
            Self::Cancelled => write!(f, "was cancelled"),
            Self::Quarantined { crashes } => {
                let was = if *crashes == 1 { "was" } else { "were" };
                write!(f, "is quarantined: {} {was} lost with process or peer", times(*crashes, "attempt"))
            }
            Self::OutOfRetries { outcome: Outcome::Interrupted, failures } => {
                write!(f, "ended as interrupted after {}", times(*failures, "interruption"))
            }
            Self::OutOfRetries { outcome, failures } => {
                let failed = times(*failures, "failed attempt");
                write!(f, "ended as {} after {failed}; no retry is left", outcome.word())
            }
        }
    }
}

impl PauseReason {
    /// The word of the contracts.
    ///
    /// ```
    /// use meshwork_core::PauseReason;
    ///
    /// assert_eq!(PauseReason::RateLimit.word(), "rate-limit");
    /// ```
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::User => "user",
            Self::Budget => "budget",
            Self::RateLimit => "rate-limit",
            Self::Shutdown => "shutdown",
        }
    }
}
