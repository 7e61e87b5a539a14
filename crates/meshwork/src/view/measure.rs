//! How the run report is measured: from the swarm, the ledger, and nothing else.

use super::record::{Attempt, Product, RoundRecord, TaskRecord, Text};
use super::report::{
    AttemptReport, CompletionReport, DiscoveryReport, LoadBalancerReport, MetricsReport, OutcomeWord, PeerMetrics,
    PeerReport, PeerState, RejectedReport, RunReport, RuntimeFacts, SCHEMA_VERSION, TaskReport, TaskState,
    TokenSavingsReport, WorthReport,
};
use super::{EntrySource, NoEntries, View};
use meshwork_core::topology::Topology;
use meshwork_core::{AttemptOutcome, DownReason, Op, Outcome, Payload, Peer, PeerNo, Phase, Position, Task, TaskNo};
use serde_json::{Value, json};

/// Open tasks whose reason is told in a report: asking looks at every peer, and nobody reads more of them.
const REASONS_TOLD: usize = 256;
/// Peers up to which the neighbours in a mesh are listed: the list grows with their square.
const NEIGHBORS_LISTED: usize = 1_000;

impl View {
    /// The run report of what was applied so far. Texts over 4 KiB are named by their position in the log.
    ///
    /// ```
    /// use meshwork::view::RuntimeFacts;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let report = view.report(&RuntimeFacts::default());
    /// assert!(report.completed && report.succeeded);
    /// assert_eq!(report.completion_id.as_deref(), Some("log-1@3.1"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn report(&self, facts: &RuntimeFacts) -> RunReport {
        self.report_from(facts, &NoEntries)
    }

    /// The same, with large texts read again from the log.
    ///
    /// ```
    /// use meshwork::view::{NoEntries, RuntimeFacts};
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let facts = RuntimeFacts { messages_sent: Some(2), ..RuntimeFacts::default() };
    /// let report = view.report_from(&facts, &NoEntries);
    /// assert_eq!(report.metrics.messages_sent, Some(2), "what only the running process knows");
    /// # Ok(())
    /// # }
    /// ```
    pub fn report_from(&self, facts: &RuntimeFacts, source: &dyn EntrySource) -> RunReport {
        let tasks = self.task_reports(source);
        let peers = self.peer_reports(true);
        let round = self.ledger.rounds.last().copied();
        let closed = round.and_then(|round| round.closed);
        let number = round.map_or(0, |round| round.number);
        // A review counts by its vote alone.
        let of_round = |task: &&TaskReport| task.round == number && task.review_of.is_none();
        let all_ok = tasks.iter().filter(of_round).all(|task| task.state == TaskState::Completed);
        let savings = savings(&peers, facts);
        RunReport {
            schema_version: SCHEMA_VERSION,
            swarm_id: self.swarm.swarm_id().to_owned(),
            topology: self.topology(),
            queen: self.queen(),
            completed: closed.is_some(),
            succeeded: closed.is_some() && all_ok,
            completion_id: closed.map(|(at, _)| format!("{}@{at}", self.swarm.log_id())),
            round: number,
            started_at: round.map(|round| round.opened_ms),
            ended_at: closed.map(|(_, ms)| ms),
            metrics: self.metrics_from(&savings, facts),
            discovery: self.discovery(facts),
            completion: self.completion(facts),
            load_balancer: self.load_balancer(facts),
            token_savings: savings,
            topology_validation: self.topology_validation(),
            worth: self.worth(round),
            tasks,
            peers,
        }
    }

    /// Every task in its latest generation.
    pub(super) fn latest_tasks(&self) -> impl Iterator<Item = (TaskNo, &Task)> {
        let all = self.swarm.tasks();
        all.filter(|(no, task)| !self.ledger.regenerated || self.swarm.find_task(&task.id) == Some(*no))
    }

    pub(super) fn task_reports(&self, source: &dyn EntrySource) -> Vec<TaskReport> {
        let mut reasons = REASONS_TOLD;
        let empty = TaskRecord::default();
        self.latest_tasks()
            .map(|(no, task)| {
                let record = self.ledger.tasks.get(no.index()).unwrap_or(&empty);
                let mut report = self.task_report(no, task, record, source);
                if !report.closed && reasons > 0 {
                    reasons -= 1;
                    report.reason = self.swarm.explain(no).map(|why| why.reason.to_string());
                }
                report
            })
            .collect()
    }

    /// The report of one task, as its explanation has it.
    pub(super) fn task_report_of(&self, no: TaskNo, source: &dyn EntrySource) -> Option<TaskReport> {
        let task = self.swarm.task(no)?;
        let empty = TaskRecord::default();
        let mut report = self.task_report(no, task, self.ledger.tasks.get(no.index()).unwrap_or(&empty), source);
        if !report.closed {
            report.reason = self.swarm.explain(no).map(|why| why.reason.to_string());
        }
        Some(report)
    }

    fn task_report(&self, no: TaskNo, task: &Task, record: &TaskRecord, source: &dyn EntrySource) -> TaskReport {
        let outcome = closed_outcome(task.phase);
        let [returned, settled] = returned_and_settled(task);
        let peer = present_peer(task);
        let mut attempts: Vec<AttemptReport> =
            self.ledger.attempts_of(no).map(|attempt| self.attempt_report(attempt, source)).collect();
        attempts.reverse();
        let id = |no: &TaskNo| self.swarm.task(*no).map(|task| task.id.to_string());
        TaskReport {
            id: task.id.to_string(),
            kind: self.swarm.kind(task.kind).map_or(String::new(), |kind| kind.name.to_string()),
            description: self.description(no, record, source),
            required_capabilities: self.swarm.requirements(no).map(str::to_owned).collect(),
            priority: task.priority,
            dependencies: task.dependencies.iter().filter_map(id).collect(),
            assigned_peer: peer.map(|peer| self.peer_id(peer)),
            state: state(task.phase),
            result: result(&record.result, source),
            error: outcome.filter(|outcome| *outcome != Outcome::Ok).map(|_| self.why_it_failed(no, task, &attempts)),
            created_at: record.created_ms,
            assigned_at: peer.and(record.assigned).map(|(_, ms)| ms),
            completed_at: record.closed_ms,
            outcome: outcome.map(OutcomeWord::from),
            returned,
            settled,
            verified: (task.verify || task.review.is_some()).then_some(outcome == Some(Outcome::Ok)),
            closed: outcome.is_some(),
            reason: None,
            parent: task.parent.as_ref().and_then(id),
            review_of: task.reviews.and(task.parent.as_ref()).and_then(id),
            generation: task.generation,
            round: task.round,
            trace_id: record.trace.to_string(),
            attempts,
            rejected: self.rejected_reports(no, source),
        }
    }

    fn rejected_reports(&self, no: TaskNo, source: &dyn EntrySource) -> Vec<RejectedReport> {
        let rejected = self.swarm.rejected(no);
        rejected
            .map(|one| {
                let attempt = self.ledger.attempts_of(no).find(|attempt| attempt.grant == one.grant);
                let kept = self.ledger.rejected_at(no, one.at);
                RejectedReport {
                    position: one.at.to_string(),
                    outcome: one.outcome.into(),
                    grant: Some(one.grant.to_string()),
                    attempt: attempt.map(|attempt| attempt.number),
                    peer_id: attempt.map(|attempt| self.peer_id(attempt.peer)),
                    node: kept.map(|kept| kept.node.to_string()),
                    error: kept.and_then(|kept| read(&kept.error, source, said_of_failure)),
                    refusal: kept.map(|kept| kept.refusal.to_string()),
                }
            })
            .collect()
    }

    /// What the last attempt said, where that is why; else what `explain` says.
    fn why_it_failed(&self, no: TaskNo, task: &Task, attempts: &[AttemptReport]) -> String {
        let by_attempt = task.because.is_none() && !task.cancelled;
        let said = attempts.last().and_then(|last| last.error.clone()).filter(|_| by_attempt);
        said.unwrap_or_else(|| self.swarm.explain(no).map_or(String::new(), |why| why.reason.to_string()))
    }

    fn description(&self, no: TaskNo, record: &TaskRecord, source: &dyn EntrySource) -> String {
        match &record.description {
            Text::InLog { at, bytes } => {
                self.spec(no, source).map_or_else(|| elsewhere(*at, *bytes), |spec| spec.description)
            }
            text => read(text, source, |_| None).unwrap_or_default(),
        }
    }

    fn attempt_report(&self, attempt: &Attempt, source: &dyn EntrySource) -> AttemptReport {
        AttemptReport {
            number: attempt.number,
            peer_id: self.peer_id(attempt.peer),
            started_at: attempt.started_ms,
            ended_at: attempt.ended_ms,
            outcome: attempt.outcome.map(OutcomeWord::from),
            error: read(&attempt.error, source, said_of_failure).filter(|text| !text.is_empty()),
            tokens: (attempt.tokens > 0).then_some(attempt.tokens),
        }
    }

    pub(super) fn peer_id(&self, no: PeerNo) -> String {
        self.swarm.peer(no).map_or(String::new(), |peer| peer.id.to_string())
    }

    /// `listed`: with neighbours.
    pub(crate) fn peer_reports(&self, listed: bool) -> Vec<PeerReport> {
        let sums = self.peer_sums();
        let shape = self.swarm.shape();
        let are_few = shape.topology() != Topology::Mesh || self.swarm.peers().len() <= NEIGHBORS_LISTED;
        let neighbors = |no| shape.neighbors(no).into_iter().map(|other| self.peer_id(other)).collect::<Vec<_>>();
        self.swarm
            .peers()
            .map(|(no, peer)| {
                let sum = sums.get(no.index()).cloned().unwrap_or_default();
                let neighbors = (listed && are_few).then(|| neighbors(no));
                PeerReport { neighbors, ..self.peer_report(no, peer, &sum) }
            })
            .collect()
    }

    fn peer_report(&self, no: PeerNo, peer: &Peer, sum: &PeerSum) -> PeerReport {
        let record = self.ledger.peers.get(no.index()).cloned().unwrap_or_default();
        let (active_ms, paused_ms) = record.durations(self.ledger.now);
        let (role, above) = self.standing(no);
        let name = |cap: &meshwork_core::CapNo| self.swarm.capability(*cap).map(str::to_owned);
        PeerReport {
            id: peer.id.to_string(),
            capabilities: peer.capabilities.iter().filter_map(name).collect(),
            load: peer.load(),
            state: peer_state(peer, record.down),
            neighbors: None,
            role,
            above,
            last_seen: self.ledger.nodes.get(peer.node.index()).map_or(0, |node| node.seen_ms),
            metrics: sum.metrics(),
            pause_reason: peer.paused.filter(|_| peer.up).map(|reason| reason.word().to_owned()),
            tokens_used: sum.tokens,
            paused_ms,
            active_ms,
        }
    }

    fn peer_sums(&self) -> Vec<PeerSum> {
        let mut sums = vec![PeerSum::default(); self.swarm.peers().len()];
        for attempt in &self.ledger.attempts {
            if let Some(sum) = sums.get_mut(attempt.peer.index()) {
                sum.add(attempt, self.did_its_work(attempt));
            }
        }
        sums
    }

    /// The counts of a coordinator. Looks at every task and attempt once.
    ///
    /// ```
    /// use meshwork::view::RuntimeFacts;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let metrics = view.metrics(&RuntimeFacts::default());
    /// assert_eq!((metrics.completed_tasks, metrics.total_tokens_used), (1, 1_500));
    /// # Ok(())
    /// # }
    /// ```
    pub fn metrics(&self, facts: &RuntimeFacts) -> MetricsReport {
        self.metrics_from(&savings(&self.peer_reports(false), facts), facts)
    }

    /// One peer, without its neighbours. Looks at every attempt once.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// let ada = view.peer(meshwork_core::PeerNo(0)).expect("there is a peer 0");
    /// assert_eq!((&*ada.id, ada.metrics.tasks_completed), ("ada", 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer(&self, no: PeerNo) -> Option<PeerReport> {
        let peer = self.swarm.peer(no)?;
        let mut sum = PeerSum::default();
        for attempt in self.ledger.attempts.iter().filter(|attempt| attempt.peer == no) {
            sum.add(attempt, self.did_its_work(attempt));
        }
        Some(self.peer_report(no, peer, &sum))
    }

    /// Tokens that the attempt under this grant reported; 0 for an unknown one.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let view = view(3); // of the three batches of a finished swarm
    /// assert_eq!(view.tokens_of(TaskNo(0), Position::new(2, 1)), 1_500);
    /// assert_eq!(view.tokens_of(TaskNo(0), Position::new(9, 0)), 0, "no such grant");
    /// # Ok(())
    /// # }
    /// ```
    pub fn tokens_of(&self, task: TaskNo, grant: meshwork_core::Grant) -> u64 {
        self.ledger.attempts_of(task).find(|attempt| attempt.grant == grant).map_or(0, |attempt| attempt.tokens)
    }

    /// One task.
    ///
    /// ```
    /// use meshwork::view::NoEntries;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let task = view.task(TaskNo(0), &NoEntries).expect("there is a task 0");
    /// assert_eq!((task.state.word(), task.result), ("completed", Some(42.into())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(&self, no: TaskNo, source: &dyn EntrySource) -> Option<TaskReport> {
        self.task_report_of(no, source)
    }

    fn metrics_from(&self, savings: &TokenSavingsReport, facts: &RuntimeFacts) -> MetricsReport {
        let counted = || self.latest_tasks().filter(|(_, task)| task.reviews.is_none());
        let count =
            |states: &[TaskState]| counted().filter(|(_, task)| states.contains(&state(task.phase))).count() as u64;
        let up = self.swarm.peers().filter(|(_, peer)| peer.up);
        let (paused, active): (Vec<&Peer>, Vec<&Peer>) =
            up.map(|(_, peer)| peer).partition(|peer| peer.paused.is_some());
        let peers = self.swarm.peers().len() as u64;
        let active_peers = active.len() as u64;
        let load: u64 = active.iter().map(|peer| u64::from(peer.load())).sum();
        let last_closed = self.ledger.rounds.iter().rev().find(|round| round.closed.is_some());
        let first_join = self.ledger.nodes.first().map(|node| node.joined_ms);
        MetricsReport {
            total_agents: peers,
            active_agents: active_peers,
            paused_agents: paused.len() as u64,
            total_tasks: counted().count() as u64,
            pending_tasks: count(&[TaskState::Pending, TaskState::Assigned]),
            running_tasks: count(&[TaskState::Running]),
            completed_tasks: count(&[TaskState::Completed]),
            failed_tasks: count(&[TaskState::Failed]),
            total_tokens_used: savings.total,
            uptime_ms: self.uptime_ms(),
            total_peers: peers,
            active_peers,
            average_peer_load: ratio(load, active_peers).unwrap_or(0.0),
            discovery_time_ms: self.ledger.discovered_ms.zip(first_join).map(|(end, start)| end.saturating_sub(start)),
            completion_detection_time_ms: last_closed.and_then(RoundRecord::detection_ms),
            messages_sent: facts.messages_sent,
            messages_received: facts.messages_received,
            unread_messages: facts.unread_messages,
            p95_peer_latency_ms: facts.p95_peer_latency_ms,
            token_savings_percentage: savings.percentage,
        }
    }

    fn uptime_ms(&self) -> u64 {
        let joined = self.swarm.present_nodes().filter_map(|(no, _)| self.ledger.nodes.get(no.index()));
        joined.map(|node| self.ledger.now.saturating_sub(node.joined_ms)).max().unwrap_or(0)
    }

    fn discovery(&self, facts: &RuntimeFacts) -> DiscoveryReport {
        let counts = &self.ledger.counts;
        DiscoveryReport {
            total_peers_discovered: counts.peers_discovered,
            active_peers: self.swarm.peers().filter(|(_, peer)| peer.up).count() as u64,
            stale_peers: self.ledger.peers.iter().filter(|peer| peer.down == Some(None)).count() as u64,
            discovery_broadcasts_sent: facts.discovery_broadcasts_sent,
            peer_announcements_received: counts.announcements,
            average_discovery_latency_ms: ratio(counts.latency_ms, counts.peers_discovered),
            last_discovery_time: counts.last_announcement_ms,
        }
    }

    fn completion(&self, facts: &RuntimeFacts) -> CompletionReport {
        let closed: Vec<&RoundRecord> = self.ledger.rounds.iter().filter(|round| round.closed.is_some()).collect();
        let times: Vec<u64> = closed.iter().filter_map(|round| round.detection_ms()).collect();
        let free = self.swarm.peers().filter(|(_, peer)| peer.up && peer.load() == 0 && peer.held.is_empty());
        let last = self.ledger.rounds.last();
        CompletionReport {
            total_peers: self.swarm.peers().len() as u64,
            completed_peers: free.count() as u64,
            total_probes_sent: 0,
            total_acks_received: 0,
            average_detection_time_ms: ratio(times.iter().sum(), times.len() as u64),
            longest_detection_time_ms: times.iter().copied().max(),
            detection_attempts: self.ledger.counts.seals,
            detection_successes: closed.len() as u64,
            detection_timeouts: facts.detection_timeouts,
            last_return_position: last.and_then(|round| round.last_return).map(|(at, _)| at.to_string()),
            completion_position: last.and_then(|round| round.closed).map(|(at, _)| at.to_string()),
        }
    }

    fn load_balancer(&self, facts: &RuntimeFacts) -> LoadBalancerReport {
        let counts = &self.ledger.counts;
        let active = self.swarm.peers().filter(|(_, peer)| peer.up && peer.paused.is_none());
        let loads: Vec<u64> = active.map(|(_, peer)| u64::from(peer.load())).collect();
        let highest = loads.iter().copied().max().unwrap_or(0);
        LoadBalancerReport {
            total_rebalances: counts.rebalances + counts.rebalances_refused,
            successful_rebalances: counts.rebalances,
            failed_rebalances: counts.rebalances_refused,
            average_rebalance_time_ms: facts.average_rebalance_time_ms,
            tasks_redistributed: counts.redistributed,
            load_updates: counts.load_updates,
            current_imbalance_ratio: ratio(highest * loads.len() as u64, loads.iter().sum()).unwrap_or(1.0),
        }
    }

    fn worth(&self, round: Option<RoundRecord>) -> WorthReport {
        let round = round.unwrap_or_default();
        let now = self.ledger.now;
        let number = round.number;
        let end = round.closed.map_or(now, |(_, ms)| ms);
        let elapsed_ms = if number == 0 { 0 } else { end.saturating_sub(round.opened_ms) };
        let offered = if round.closed.is_some() { round.slot_ms_closed } else { self.ledger.offered() };
        let mut ran = vec![0_u64; self.swarm.tasks().len()];
        let (mut busy_ms, mut tokens, mut tokens_not_used) = (0_u64, 0_u64, 0_u64);
        for attempt in &self.ledger.attempts {
            let Some(task) = self.swarm.task(attempt.task).filter(|task| task.round == number) else { continue };
            let open = attempt.ended_ms.is_none();
            let own = if open { now.saturating_sub(attempt.granted_ms) } else { attempt.ran_ms };
            let sum = &mut ran[attempt.task.index()];
            *sum = sum.saturating_add(own);
            let waits = self.ledger.waiting.get(&attempt.task).filter(|_| open);
            let waited = waits.map_or(0, |since| now.saturating_sub(*since)).saturating_add(attempt.waited_ms);
            busy_ms = busy_ms.saturating_add(own.saturating_sub(waited));
            tokens = tokens.saturating_add(attempt.tokens);
            let counts =
                self.did_its_work(attempt) && closed_outcome(task.phase).is_none_or(|outcome| outcome == Outcome::Ok);
            if !open && !counts {
                tokens_not_used = tokens_not_used.saturating_add(attempt.tokens);
            }
        }
        let completed = self
            .latest_tasks()
            .filter(|(_, task)| task.round == number && task.reviews.is_none())
            .filter(|(_, task)| closed_outcome(task.phase) == Some(Outcome::Ok));
        WorthReport {
            elapsed_ms,
            critical_path_ms: self.critical_path_ms(number, ran),
            busy_ms,
            parallel_efficiency: ratio(busy_ms, offered.saturating_sub(round.slot_ms)).map(|share| share.min(1.0)),
            tokens_per_completed_task: ratio(tokens, completed.count() as u64),
            tokens_not_used,
        }
    }

    /// It ended ok; a review also by not approving.
    fn did_its_work(&self, attempt: &Attempt) -> bool {
        let is_review = || self.swarm.task(attempt.task).is_some_and(|task| task.reviews.is_some());
        match attempt.outcome {
            Some(AttemptOutcome::Ok) => true,
            Some(AttemptOutcome::Rejected) => is_review(),
            _ => false,
        }
    }

    /// Dependencies have lower numbers, so one pass along the numbers finds the longest chain.
    fn critical_path_ms(&self, round: u32, mut chain: Vec<u64>) -> u64 {
        let mut longest = 0;
        for (no, task) in self.swarm.tasks().filter(|(_, task)| task.round == round) {
            let same_round = |no: &&TaskNo| self.swarm.task(**no).is_some_and(|task| task.round == round);
            let before = task.dependencies.iter().filter(same_round).map(|no| chain[no.index()]).max();
            let here = chain[no.index()].saturating_add(before.unwrap_or(0));
            chain[no.index()] = here;
            longest = longest.max(here);
        }
        longest
    }
}

#[derive(Clone, Debug, Default)]
struct PeerSum {
    completed: u64,
    failed: u64,
    response_ms: u64,
    tokens: u64,
}

impl PeerSum {
    fn add(&mut self, attempt: &Attempt, done: bool) {
        self.tokens = self.tokens.saturating_add(attempt.tokens);
        let (Some(outcome), Some(ended)) = (attempt.outcome, attempt.ended_ms) else { return };
        match outcome {
            AttemptOutcome::Interrupted | AttemptOutcome::Cancelled => return,
            _ if done => self.completed += 1,
            _ => self.failed += 1,
        }
        self.response_ms = self.response_ms.saturating_add(ended.saturating_sub(attempt.assigned_ms));
    }

    fn metrics(&self) -> PeerMetrics {
        let finished = self.completed + self.failed;
        PeerMetrics {
            success_rate: ratio(self.completed, finished).unwrap_or(1.0),
            average_response_time: ratio(self.response_ms, finished).unwrap_or(0.0),
            tasks_completed: self.completed,
            tasks_failed: self.failed,
        }
    }
}

fn savings(peers: &[PeerReport], facts: &RuntimeFacts) -> TokenSavingsReport {
    let pause_duration_ms = peers.iter().fold(0_u64, |sum, peer| sum.saturating_add(peer.paused_ms));
    let saved = if pause_duration_ms == 0 { 0 } else { facts.tokens_saved.unwrap_or(0) };
    let wakes = facts.wakes.unwrap_or_default();
    let total = peers.iter().fold(wakes.tokens, |sum, peer| sum.saturating_add(peer.tokens_used));
    TokenSavingsReport {
        saved,
        total,
        percentage: ratio(saved, saved.saturating_add(total)).map_or(0.0, |share| 100.0 * share),
        pause_duration_ms,
        active_duration_ms: peers.iter().fold(0_u64, |sum, peer| sum.saturating_add(peer.active_ms)),
        wakes: wakes.count,
        tokens_per_wake: wakes.mean(),
        wakes_avoided: facts.wakes_avoided.unwrap_or(0),
    }
}

fn ratio(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

pub(super) fn closed_outcome(phase: Phase) -> Option<Outcome> {
    match phase {
        Phase::Closed { outcome } => Some(outcome),
        _ => None,
    }
}

pub(super) fn state(phase: Phase) -> TaskState {
    match phase {
        Phase::Blocked | Phase::Ready | Phase::Backoff { .. } => TaskState::Pending,
        Phase::Assigned { .. } => TaskState::Assigned,
        Phase::Running { .. }
        | Phase::Waiting { .. }
        | Phase::InLine { .. }
        | Phase::Returned
        | Phase::Settled { .. }
        | Phase::Checking { .. }
        | Phase::Reviewing => TaskState::Running,
        Phase::Closed { outcome: Outcome::Ok } => TaskState::Completed,
        Phase::Closed { .. } => TaskState::Failed,
    }
}

/// The first two facts, as `explain` has them, without the price of asking every peer.
fn returned_and_settled(task: &Task) -> [bool; 2] {
    let ended = closed_outcome(task.phase);
    let said_so = matches!(ended, Some(Outcome::Ok | Outcome::Unverified | Outcome::Rejected)) || task.check;
    let reviewing = task.phase == Phase::Reviewing;
    let after = matches!(task.phase, Phase::Returned | Phase::Settled { .. } | Phase::Checking { .. }) || reviewing;
    let returned = said_so || after && task.ending.is_none();
    [returned, returned && (task.deficit == 0 || reviewing)]
}

fn present_peer(task: &Task) -> Option<PeerNo> {
    match task.phase {
        Phase::Blocked | Phase::Ready | Phase::Backoff { .. } => None,
        Phase::Assigned { peer } => Some(peer),
        _ => (task.attempt > 0).then_some(task.last_peer),
    }
}

fn peer_state(peer: &Peer, down: Option<Option<DownReason>>) -> PeerState {
    if !peer.up {
        return match down {
            Some(None | Some(DownReason::Died)) => PeerState::Error,
            _ => PeerState::Terminated,
        };
    }
    if peer.paused.is_some() {
        PeerState::Paused
    } else if peer.busy > 0 || !peer.assigned.is_empty() {
        PeerState::Working
    } else if !peer.held.is_empty() || !peer.line.is_empty() {
        PeerState::Waiting
    } else {
        PeerState::Idle
    }
}

fn elsewhere(at: Position, bytes: u32) -> String {
    format!("({bytes} bytes, in the log at {at})")
}

/// A text as it was kept, or as its entry has it, or where it lies.
fn read(text: &Text, source: &dyn EntrySource, pick: impl Fn(Op) -> Option<String>) -> Option<String> {
    match text {
        Text::Absent => None,
        Text::Here(text) => Some(text.to_string()),
        Text::InLog { at, bytes } => Some(source.entry(*at).and_then(pick).unwrap_or_else(|| elsewhere(*at, *bytes))),
    }
}

fn said_of_failure(op: Op) -> Option<String> {
    match op {
        Op::Return(returned) => returned.error,
        Op::Checked { evidence, .. } => Some(evidence),
        _ => None,
    }
}

fn said_as_result(op: Op) -> Option<String> {
    match op {
        Op::Return(returned) => match returned.result {
            Some(Payload::Json(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// JSON as JSON; what is not, as the text that it is.
fn result(product: &Product, source: &dyn EntrySource) -> Option<Value> {
    match product {
        Product::Absent => None,
        Product::Json(text) => {
            let text = read(text, source, said_as_result)?;
            Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        Product::Artifact(artifact) => Some(json!({ "artifact": artifact.0, "bytes": artifact.1 })),
    }
}
