//! One state: the log, the living processes with what runs in them, what is on its way, and what may still
//! go wrong.

use super::observer::Observer;
use super::scope::{Budgets, Scope};
use super::verdict::Violation;
use meshwork_core::canonical::{self, Canon};
use meshwork_core::node::{Node, Setup, Ticket};
use meshwork_core::{Batch, ClosedRound, Grant, PeerNo, Swarm, TaskNo, WaitNo};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) type Key = (TaskNo, Grant);

/// A state of the model. Cheap to clone: what an action does not change is shared.
#[derive(Clone, Debug)]
pub struct World {
    /// The swarm after all that the log holds: what a reader who is never late knows.
    pub(crate) reference: Arc<Swarm>,
    pub(crate) log: Option<Arc<Cell>>,
    /// By the number of the node's name.
    pub(crate) processes: Vec<Option<Arc<Process>>>,
    /// Processes of each name so far.
    pub(crate) lives: Vec<u64>,
    pub(crate) on_way: Vec<Letter>,
    pub(crate) people: Vec<Progress>,
    /// The highest round that somebody was told to be closed.
    pub(crate) told: u32,
    pub(crate) budgets: Budgets,
    pub(crate) observer: Observer,
    pub(crate) violation: Option<Arc<Violation>>,
}

/// A stored batch, and all before it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) seq: u64,
    pub(crate) batch: Arc<Batch>,
    /// State hash after it.
    pub(crate) hash: u64,
    /// By entry: whether it was accepted.
    pub(crate) accepted: Vec<bool>,
    pub(crate) closed: Option<ClosedRound>,
    pub(crate) before: Option<Arc<Cell>>,
}

/// An append on its way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) name: usize,
    pub(crate) life: u64,
    pub(crate) batch: Arc<Batch>,
}

/// How far a person has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Progress {
    pub(crate) wants: usize,
    /// Where the last wish was made: the parts of a submission have one author, as long as it lives.
    pub(crate) at: usize,
    /// The node at which the present want is undecided.
    pub(crate) asked: Option<usize>,
}

/// A living process of a node.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) bodies: BTreeMap<Key, Body>,
    /// Messages of returned attempts that are not acknowledged; whether a handler has submitted a child.
    pub(crate) messages: BTreeMap<Key, bool>,
    pub(crate) timers: Vec<WaitNo>,
    pub(crate) still: Vec<PeerNo>,
    pub(crate) asked: BTreeMap<Ticket, Asked>,
    pub(crate) tickets: u64,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    Person(usize),
    Children(Key),
    Wait(Key),
    Handler(Key),
}

/// A body or a check that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) peer: PeerNo,
    pub(crate) first: bool,
    pub(crate) does: Does,
    pub(crate) stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Check,
    Begins,
    /// It has asked for its children.
    Submits,
    HasChildren,
    /// It has asked to wait, or waits.
    Waits,
    GoesOn,
    /// What it asked for was refused.
    Fails,
}

impl Process {
    /// How far it has read.
    pub(crate) fn read(&self) -> u64 {
        self.node.swarm().last().seq
    }

    /// How many of a peer's slots its bodies take.
    pub(crate) fn busy(&self, peer: PeerNo) -> usize {
        self.bodies.values().filter(|body| body.peer == peer && body.does != Does::Waits).count()
    }

    fn walk(&self, canon: &mut Canon<'_>) {
        self.node.walk(canon, |canon, ticket| match self.asked.get(&ticket) {
            Some(asked) => asked.walk(canon),
            None => canon.word(9),
        });
        canon.word(self.bodies.len() as u64);
        for ((task, grant), body) in &self.bodies {
            canon.grant(*task, *grant);
            canon.word(u64::from(body.peer.0));
            canon.word((body.does as u64) << 2 | u64::from(body.first) << 1 | u64::from(body.stopped));
        }
        canon.word(self.messages.len() as u64);
        for ((task, grant), submitted) in &self.messages {
            canon.grant(*task, *grant);
            canon.flag(*submitted);
        }
        canon.unordered(&self.timers, |canon, wait| canon.wait(*wait));
        canon.list(self.still.iter().map(|peer| u64::from(peer.0)));
        canon.unordered(self.asked.values(), |canon, asked| asked.walk(canon));
    }
}

impl Asked {
    fn walk(self, canon: &mut Canon<'_>) {
        let (word, key) = match self {
            Self::Person(person) => (person as u64 + 16, None),
            Self::Children(key) => (1, Some(key)),
            Self::Wait(key) => (2, Some(key)),
            Self::Handler(key) => (3, Some(key)),
        };
        canon.word(word);
        if let Some((task, grant)) = key {
            canon.grant(task, grant);
        }
    }
}

/// Name of a node.
pub(crate) fn name_of(node: usize) -> String {
    format!("n{node}")
}

impl World {
    /// Nobody has started, and the log is empty.
    pub(crate) fn new(scope: &Scope) -> Self {
        Self {
            reference: Arc::new(Swarm::new().broken_by(scope.mutant)),
            log: None,
            processes: vec![None; scope.nodes],
            lives: vec![0; scope.nodes],
            on_way: Vec::new(),
            people: scope.people.iter().map(|person| Progress { wants: 0, at: person.at, asked: None }).collect(),
            told: 0,
            budgets: scope.budgets,
            observer: Observer::default(),
            violation: None,
        }
    }

    pub(crate) fn setup(scope: &Scope, name: usize, life: u64) -> Setup {
        Setup {
            name: name_of(name),
            nonce: life,
            open: Some(("log".to_owned(), "swarm".to_owned(), scope.config())),
            sessions: 1,
            peers: scope.peer_specs(name),
            rebalance_ms: None,
            imbalance_permille: 1_500,
        }
    }

    /// The living, by name.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (usize, &Process)> {
        self.processes.iter().enumerate().filter_map(|(name, process)| Some((name, &**process.as_ref()?)))
    }

    /// Batches that the log holds and this process has not read.
    pub(crate) fn lag(&self, process: &Process) -> u64 {
        self.reference.last().seq - process.read()
    }

    /// The batch at this sequence number.
    pub(crate) fn cell(&self, seq: u64) -> Option<&Arc<Cell>> {
        let mut cell = self.log.as_ref();
        while let Some(found) = cell {
            if found.seq == seq {
                return cell;
            }
            cell = found.before.as_ref();
        }
        None
    }

    /// What the most backward reader has not read, oldest first.
    fn after(&self, seq: u64) -> Vec<&Cell> {
        let cells = std::iter::successors(self.log.as_deref(), |cell| cell.before.as_deref());
        let mut unread: Vec<&Cell> = cells.take_while(|cell| cell.seq > seq).collect();
        unread.reverse();
        unread
    }

    /// All is said and done: everybody has got what they wanted, and nothing is left over. A round that nobody
    /// has sealed may be open: an undecided submission that was made again elsewhere may come late.
    pub fn is_done(&self, scope: &Scope) -> bool {
        let people = self.people.iter().zip(&scope.people);
        let satisfied = people.into_iter().all(|(progress, person)| progress.wants == person.wants.len());
        let at_rest = |process: &Process| {
            self.lag(process) == 0
                && process.bodies.is_empty()
                && process.messages.is_empty()
                && !process.node.has_undecided()
                && process.node.is_member()
        };
        let closed = self.reference.tasks().all(|(_, task)| task.phase.is_closed());
        let sealed = self.reference.round().is_some_and(|round| round.sealed);
        satisfied && closed && !sealed && self.alive().all(|(_, process)| at_rest(process))
    }

    /// Equal for states that will behave alike; see [`meshwork_core::canonical`].
    pub fn fingerprint(&self, scope: &Scope) -> u64 {
        if scope.exact {
            return super::exact::fingerprint(self);
        }
        let last = self.alive().min_by_key(|(_, process)| process.read()).filter(|(_, process)| self.lag(process) > 0);
        let base = last.map_or(&*self.reference, |(_, process)| process.node.swarm());
        let seq = base.last().seq;
        let unread = self.after(seq);
        canonical::fingerprint(base, |canon| {
            canon.word(unread.len() as u64);
            unread.iter().for_each(|cell| canon.batch(&cell.batch));
            for process in &self.processes {
                canon.flag(process.is_some());
                if let Some(process) = process {
                    canon.word(process.read() - seq);
                    process.walk(canon);
                }
            }
            canon.unordered(&self.on_way, |canon, letter| {
                canon.word(letter.name as u64);
                canon.flag(self.is_own(letter));
                canon.batch(&letter.batch);
            });
            for progress in &self.people {
                canon.word(
                    (progress.wants as u64) << 16
                        | (progress.at as u64) << 8
                        | progress.asked.map_or(0, |name| name as u64 + 1),
                );
            }
            canon.word(u64::from(self.told));
            canon.list(self.budgets.words().into_iter().map(u64::from));
            self.observer.walk(canon, &self.reference);
            canon.word(self.violation.as_ref().map_or(0, |violation| violation.property as u64 + 1));
        })
    }

    /// Whether its author lives and still waits for it.
    pub(crate) fn is_own(&self, letter: &Letter) -> bool {
        let process = self.processes[letter.name].as_ref();
        let waits = process.and_then(|process| process.node.in_flight()).is_some_and(|batch| *batch == letter.batch);
        waits && self.lives[letter.name] == letter.life
    }
}
