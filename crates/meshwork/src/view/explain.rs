//! Why a task is where it is, for people and programs.

use super::{AttemptReport, EntrySource, RejectedReport, SCHEMA_VERSION, TaskReport, View, duration, table, visible};
use meshwork_core::{Explanation, PeerVerdict, TaskNo};
use serde::Serialize;
use std::fmt::Write as _;

/// Peers that are listed; the JSON has all of them.
const LISTED: usize = 20;

/// The answer of `explain`: the same for every front end.
///
/// ```
/// use meshwork::view::NoEntries;
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
/// # use demo::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
///
/// let view = view(3); // of the three batches of a finished swarm
/// let document = view.explain(TaskNo(0), false, &NoEntries).expect("there is a task 0");
/// let json = serde_json::to_value(&document)?;
/// assert_eq!((&json["taskId"], &json["task"]["state"]), (&"build".into(), &"completed".into()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainDocument {
    schema_version: u32,
    swarm_id: String,
    task_id: String,
    /// `mesh`, `hierarchical` or `hybrid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    topology: Option<String>,
    /// The peer that it was handed to, or asked for; another one may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefers: Option<String>,
    /// A process holds the swarm's folder: it runs.
    live: bool,
    /// The sentence, with the task's id.
    sentence: String,
    /// What each peer that is up has to say to a task that waits.
    peers: Vec<PeerAnswer>,
    /// The task as in the run report: state, the four facts, attempts, rejected results.
    task: TaskReport,
}

/// Why one peer does not run a waiting task.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PeerAnswer {
    peer_id: String,
    verdict: &'static str,
    why: String,
}

impl From<PeerVerdict> for PeerAnswer {
    fn from(verdict: PeerVerdict) -> Self {
        let (peer_id, verdict, why) = match verdict {
            PeerVerdict::Lacks { peer, missing } => (peer, "lacks", format!("lacks {}", missing.join(", "))),
            PeerVerdict::Paused { peer, reason } => (peer, "paused", format!("is paused ({})", reason.word())),
            PeerVerdict::Full { peer, busy, waiting } => {
                (peer, "full", format!("has no free slot: {busy} busy, {waiting} waiting there"))
            }
            PeerVerdict::Starved { peer } => {
                (peer, "starved", "has a slot, but no session or no tokens of a budget are left for it".to_owned())
            }
            PeerVerdict::Avoided { peer } => {
                (peer, "avoided", "failed this task before, and another peer can take it".to_owned())
            }
        };
        Self { peer_id, verdict, why }
    }
}

impl View {
    /// Why a task is where it is, and all that became of it. `live`: whether the swarm runs. `None` for an unknown
    /// number.
    ///
    /// ```
    /// use meshwork::view::NoEntries;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let document = view.explain(TaskNo(0), true, &NoEntries).expect("there is a task 0");
    /// assert!(document.task().closed);
    /// assert!(view.explain(TaskNo(9), true, &NoEntries).is_none());
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain(&self, task: TaskNo, live: bool, source: &dyn EntrySource) -> Option<ExplainDocument> {
        let explanation = self.swarm().explain(task)?;
        let report = self.task_report_of(task, source)?;
        let mut document = ExplainDocument::new(self.swarm().swarm_id(), live, explanation, report);
        document.topology = self.topology();
        document.prefers = self.swarm().task(task).and_then(|task| task.prefers).map(|no| self.peer_id(no));
        Some(document)
    }
}

impl ExplainDocument {
    /// The task as in the run report: state, the four facts, attempts, rejected results.
    ///
    /// ```
    /// use meshwork::view::NoEntries;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let document = view.explain(TaskNo(0), true, &NoEntries).expect("there is a task 0");
    /// assert_eq!(document.task().attempts[0].peer_id, "ada");
    /// # Ok(())
    /// # }
    /// ```
    pub fn task(&self) -> &TaskReport {
        &self.task
    }

    fn new(swarm_id: &str, live: bool, explanation: Explanation, task: TaskReport) -> Self {
        let mut sentence = format!("task {:?} {}", explanation.task, explanation.reason);
        if !live && !explanation.closed {
            // The log ends where the run did, perhaps in the middle of an attempt.
            sentence.push_str(" (the swarm does not run at this moment)");
        }
        let peers = explanation.peers.into_iter().map(PeerAnswer::from).collect();
        let (swarm_id, task_id) = (swarm_id.to_owned(), explanation.task);
        let (topology, prefers) = (None, None);
        Self { schema_version: SCHEMA_VERSION, swarm_id, task_id, topology, prefers, live, sentence, peers, task }
    }

    /// For people.
    ///
    /// ```
    /// use meshwork::view::NoEntries;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let document = view.explain(TaskNo(0), true, &NoEntries).expect("there is a task 0");
    /// assert!(document.human().starts_with("task \"build\""));
    /// # Ok(())
    /// # }
    /// ```
    pub fn human(&self) -> String {
        let mut out = format!("{}\n\n", visible(&self.sentence));
        let task = &self.task;
        let outcome = task.outcome.map_or(String::new(), |outcome| format!(", outcome {}", outcome.word()));
        let fact = |name: &str, holds: &str| vec![name.to_owned(), holds.to_owned()];
        let verified = task.verified.map_or("not asked for", yes_or_no);
        let mut facts = vec![
            fact("returned", yes_or_no(task.returned)),
            fact("settled", yes_or_no(task.settled)),
            fact("verified", verified),
            fact("closed", yes_or_no(task.closed)),
        ];
        facts.extend(self.topology.as_deref().map(|topology| fact("topology", topology)));
        facts.extend(self.prefers.as_deref().map(|peer| fact("handed to", peer)));
        out.push_str(&table(&["STATE", &format!("{}{outcome}", task.state.word())], &facts));
        if let Some(error) = &task.error {
            let _ = writeln!(out, "\nerror: {}", visible(error));
        }
        self.attempts(&mut out);
        self.rejected(&mut out);
        self.verdicts(&mut out);
        out
    }

    fn attempts(&self, out: &mut String) {
        if self.task.attempts.is_empty() {
            return;
        }
        let row = |attempt: &AttemptReport| {
            let took = attempt.started_at.zip(attempt.ended_at).map(|(from, to)| to.saturating_sub(from));
            vec![
                attempt.number.to_string(),
                attempt.peer_id.clone(),
                attempt.outcome.map_or("running", |outcome| outcome.word()).to_owned(),
                took.map_or_else(|| "-".to_owned(), duration),
                attempt.error.as_deref().unwrap_or("").trim_end().to_owned(),
            ]
        };
        let rows: Vec<_> = self.task.attempts.iter().map(row).collect();
        let _ = write!(out, "\n{}", table(&[">ATTEMPT", "PEER", "OUTCOME", ">TOOK", "ERROR"], &rows));
    }

    fn rejected(&self, out: &mut String) {
        if self.task.rejected.is_empty() {
            return;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let row = |one: &RejectedReport| {
            vec![
                one.position.clone(),
                one.attempt.map_or_else(|| "-".to_owned(), |number| number.to_string()),
                text(&one.peer_id),
                text(&one.node),
                one.outcome.word().to_owned(),
                one.error.as_deref().unwrap_or("").trim_end().to_owned(),
                text(&one.refusal),
            ]
        };
        let rows: Vec<_> = self.task.rejected.iter().map(row).collect();
        let columns = [">POSITION", ">ATTEMPT", "PEER", "NODE", "SAID", "ERROR", "REFUSED BECAUSE"];
        let _ = write!(
            out,
            "\nResults that came after their attempt was given up on; none of them counts:\n{}",
            table(&columns, &rows)
        );
    }

    fn verdicts(&self, out: &mut String) {
        if self.peers.is_empty() {
            return;
        }
        let rows: Vec<_> =
            self.peers.iter().take(LISTED).map(|peer| vec![peer.peer_id.clone(), peer.why.clone()]).collect();
        let _ = write!(out, "\n{}", table(&["PEER", "WHY NOT"], &rows));
        if self.peers.len() > LISTED {
            let _ = writeln!(out, "and {} more", self.peers.len() - LISTED);
        }
    }
}

fn yes_or_no(fact: bool) -> &'static str {
    if fact { "yes" } else { "no" }
}
