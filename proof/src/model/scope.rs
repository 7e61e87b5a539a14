//! What is explored: who there is, what has to be done, and how often the world may misbehave.

use meshwork_core::{Config, Limits, Mutant, PeerSpec, TaskSpec};
use std::collections::BTreeMap;
use std::fmt;

/// One model: everything that its states have in common. Printed with every result.
#[derive(Clone, Debug)]
pub struct Scope {
    /// For people and for the command line.
    pub name: String,
    /// Nodes.
    pub nodes: usize,
    /// Peers of each node.
    pub peers: usize,
    /// Slots of each peer.
    pub slots: u32,
    /// Whether placement reads loads and learned durations.
    pub balancing: bool,
    /// Lost attempts after which a task ends.
    pub crashes: u32,
    /// Interrupted attempts after which a task ends.
    pub interruptions: u32,
    /// What bodies do, by the id of their task.
    pub scripts: BTreeMap<String, Script>,
    /// People, each with what they want, one thing after the other.
    pub people: Vec<Person>,
    /// How often the world may misbehave.
    pub budgets: Budgets,
    /// Nothing has started yet, and nodes are born in any order; otherwise all have joined.
    pub cold: bool,
    /// A restarted node reads the whole log; otherwise it starts from a snapshot of it.
    pub replays: bool,
    /// Nodes read when they like; otherwise at once, but for as many lags as the budget says.
    pub lags_at_will: bool,
    /// Every difference counts, also the ones that cannot matter: to test the reduction.
    pub exact: bool,
    /// The rule that is broken, if one is.
    pub mutant: Option<Mutant>,
}

/// A person's wishes. They are made where the last one was, at first at `at`; when that node is dead, at the
/// next living one in the order of names. They are made again when they were left undecided.
#[derive(Clone, Debug)]
pub struct Person {
    /// The node that is preferred.
    pub at: usize,
    /// What is wanted, in order.
    pub wants: Vec<Want>,
}

/// What a person wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// These tasks are submitted; `true`: more follow.
    Submit(Vec<String>, bool),
    /// This task is submitted with another description: it is amended, or the edit is refused.
    Edit(String),
    /// That its node is taken as having left, which it has not: it is to be refused.
    Leave,
    /// This round may close.
    Seal(u32),
    /// To be told that this round is closed.
    Told(u32),
}

/// What a body does, and a choice of ends.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The task.
    pub spec: TaskSpec,
    /// Children that it submits, by id, before anything else.
    pub children: Vec<String>,
    /// It may wait for them.
    pub waits: bool,
    /// It may end without waiting.
    pub leaves: bool,
    /// A further attempt may do without its children.
    pub forgets: bool,
    /// It ends with messages open.
    pub messages: bool,
    /// What a message's handler may submit while it is open.
    pub handler_child: Option<String>,
    /// As a review, it may not approve. (What reviews do is the script `review`.)
    pub rejects: bool,
    /// Its evidence may not hold.
    pub unverified: bool,
}

/// How often each thing may go wrong, and all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Budgets {
    /// All of the following together, failures aside.
    pub faults: u8,
    /// A process dies, with everything that it runs.
    pub crashes: u8,
    /// A living node is held for dead.
    pub suspicions: u8,
    /// An append in flight comes back with an error although it is, or will be, stored.
    pub errors: u8,
    /// A node stands still while the log goes on.
    pub lags: u8,
    /// A node is told to stop.
    pub shutdowns: u8,
    /// A body's process dies.
    pub losses: u8,
    /// A peer's agent dies, and comes again.
    pub deaths: u8,
    /// A person cancels a task.
    pub cancels: u8,
    /// A person pauses a peer.
    pub pauses: u8,
    /// An idle peer is paused.
    pub idle_pauses: u8,
    /// Attempts that fail, or whose evidence does not hold.
    pub failures: u8,
}

impl Budgets {
    pub(crate) fn words(self) -> [u8; 12] {
        let Self { faults, crashes, suspicions, errors, lags, shutdowns, .. } = self;
        let Self { losses, deaths, cancels, pauses, idle_pauses, failures, .. } = self;
        [faults, crashes, suspicions, errors, lags, shutdowns, losses, deaths, cancels, pauses, idle_pauses, failures]
    }
}

impl fmt::Display for Budgets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            "faults",
            "crashes",
            "wrong suspicions",
            "append errors",
            "lags",
            "shutdowns",
            "lost processes",
            "peers that die",
            "cancels",
            "pauses",
            "idle pauses",
            "failures",
        ];
        let all = names.iter().zip(self.words()).filter(|(_, most)| *most > 0);
        let words: Vec<String> = all.map(|(name, most)| format!("{name} ≤ {most}")).collect();
        out.write_str(if words.is_empty() { "nothing goes wrong" } else { "" })?;
        out.write_str(&words.join(", "))
    }
}

impl Scope {
    /// Settings of the log.
    pub(crate) fn config(&self) -> Config {
        let limits = Limits { crashes: self.crashes, interruptions: self.interruptions, ..Limits::default() };
        Config { limits, load_balancing: self.balancing, ..Config::default() }
    }

    pub(crate) fn peer_specs(&self, node: usize) -> Vec<PeerSpec> {
        let spec = |peer: usize| PeerSpec {
            id: format!("{}{node}", ["p", "q", "r"][peer]),
            capabilities: Vec::new(),
            slots: self.slots,
            uses_session: false,
            token_budget: None,
        };
        (0..self.peers).map(spec).collect()
    }

    /// Adds a script.
    #[must_use]
    pub(crate) fn with(mut self, script: Script) -> Self {
        self.scripts.insert(script.spec.id.clone(), script);
        self
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.scripts.values().map(|script| script.spec.retries).max().unwrap_or(0) + 1;
        let (tasks, nodes) = (self.scripts.len(), self.nodes);
        writeln!(out, "model {}: {tasks} tasks × {attempts} attempts × {nodes} nodes", self.name)?;
        let reading = if self.lags_at_will { "nodes read when they like" } else { "nodes read at once, lags aside" };
        let start = if self.cold { "from an empty log" } else { "all nodes have joined" };
        let (peers, slots) = (self.peers, self.slots);
        writeln!(out, "  {start}; {reading}; {peers} peers a node, {slots} slots a peer")?;
        write!(out, "  {}", self.budgets)
    }
}

/// A task with so many further attempts.
pub(crate) fn spec(id: &str, retries: u32) -> TaskSpec {
    TaskSpec { id: id.to_owned(), kind: "work".to_owned(), priority: 5, retries, ..TaskSpec::default() }
}

/// A task that does nothing but end.
pub(crate) fn plain(id: &str, retries: u32) -> Script {
    Script { spec: spec(id, retries), ..Script::default() }
}

/// The one person who submits all at once, seals, and waits.
pub(crate) fn one_person(ids: &[&str]) -> Vec<Person> {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    vec![Person { at: 0, wants: vec![Want::Submit(ids, false), Want::Seal(1), Want::Told(1)] }]
}
