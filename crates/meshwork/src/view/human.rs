//! The run report as people read it.

use super::report::{OutcomeWord, RunReport, TaskReport, TaskState};
use super::text::{cut, duration, table, visible};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Tasks that need a look and are listed; the JSON has all of them.
const LISTED: usize = 20;
/// Bytes of an error in a table.
const ERROR_BYTES: usize = 120;

impl RunReport {
    /// A compact rendering: tasks by outcome, those that need a look, peers, and what it was worth.
    ///
    /// ```
    /// use meshwork::view::RuntimeFacts;
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doctests/demo.rs"));
    /// # use demo::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///
    /// let view = view(3); // of the three batches of a finished swarm
    /// let text = view.report(&RuntimeFacts::default()).human();
    /// assert!(text.starts_with("demo: completed, 1 of 1 tasks ok in 3.0 s\n"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn human(&self) -> String {
        let mut out = self.headline();
        out.push('\n');
        out.push_str(&self.by_outcome());
        self.need_a_look(&mut out);
        if !self.peers.is_empty() {
            out.push('\n');
            out.push_str(&self.peer_table());
        }
        out.push('\n');
        out.push_str(&self.worth_table());
        out
    }

    fn headline(&self) -> String {
        let of_round: Vec<&TaskReport> = self.tasks.iter().filter(|task| task.round == self.round).collect();
        let ok = of_round.iter().filter(|task| task.state == TaskState::Completed).count();
        let what = match (self.completed, self.succeeded) {
            (true, true) => "completed",
            (true, false) => "completed, with failed tasks",
            (false, _) => "not completed",
        };
        let all = of_round.len();
        let took = duration(self.worth.elapsed_ms);
        let mut line = format!("{}: {what}, {ok} of {all} tasks ok in {took}\n", visible(&self.swarm_id));
        if let Some(topology) = &self.topology {
            let queen = self.queen.as_deref().map_or_else(String::new, |queen| format!(", queen {}", visible(queen)));
            let _ = writeln!(line, "topology {topology}{queen}");
        }
        if let Some(id) = &self.completion_id {
            let _ = writeln!(line, "completion {}, round {}", visible(id), self.round);
        }
        line
    }

    fn by_outcome(&self) -> String {
        let mut counts: BTreeMap<(u8, &str), usize> = BTreeMap::new();
        for task in &self.tasks {
            // Closed tasks by their outcome, best first; open ones by their state.
            let key = match task.outcome {
                Some(OutcomeWord::Ok) => (0, "ok"),
                Some(outcome) => (1, outcome.word()),
                None => (2, task.state.word()),
            };
            *counts.entry(key).or_default() += 1;
        }
        let rows: Vec<Vec<String>> =
            counts.iter().map(|((_, word), count)| vec![(*word).to_owned(), count.to_string()]).collect();
        table(&["OUTCOME", ">TASKS"], &rows)
    }

    fn need_a_look(&self, out: &mut String) {
        let look: Vec<&TaskReport> = self.tasks.iter().filter(|task| task.state != TaskState::Completed).collect();
        if look.is_empty() {
            return;
        }
        let row = |task: &&TaskReport| {
            let word = task.outcome.map_or(task.state.word(), OutcomeWord::word);
            let why = task.error.as_deref().or(task.reason.as_deref()).unwrap_or("");
            let why = cut(why, ERROR_BYTES).into_owned();
            vec![task.id.clone(), word.to_owned(), task.attempts.len().to_string(), why]
        };
        let rows: Vec<Vec<String>> = look.iter().take(LISTED).map(row).collect();
        out.push('\n');
        out.push_str(&table(&["TASK", "OUTCOME", ">ATTEMPTS", "WHY"], &rows));
        if look.len() > LISTED {
            let _ = writeln!(out, "and {} more", look.len() - LISTED);
        }
    }

    fn peer_table(&self) -> String {
        let row = |peer: &super::report::PeerReport| {
            vec![
                peer.id.clone(),
                peer.state.word().to_owned(),
                peer.metrics.tasks_completed.to_string(),
                peer.metrics.tasks_failed.to_string(),
                format!("{:.0} %", 100.0 * peer.metrics.success_rate),
                duration(peer.metrics.average_response_time as u64),
                peer.tokens_used.to_string(),
                duration(peer.active_ms),
                duration(peer.paused_ms),
            ]
        };
        let rows: Vec<Vec<String>> = self.peers.iter().map(row).collect();
        table(&["PEER", "STATE", ">OK", ">FAILED", ">SUCCESS", ">RESPONSE", ">TOKENS", ">ACTIVE", ">PAUSED"], &rows)
    }

    fn worth_table(&self) -> String {
        let worth = &self.worth;
        let none = || "-".to_owned();
        let line = |name: &str, value: String| vec![name.to_owned(), value];
        let efficiency = worth.parallel_efficiency.map_or_else(none, |share| format!("{:.0} %", 100.0 * share));
        let rows = [
            line("elapsed", duration(worth.elapsed_ms)),
            line("critical path", duration(worth.critical_path_ms)),
            line("parallel efficiency", efficiency),
            line("tokens", self.token_savings.total.to_string()),
            line("tokens a completed task", worth.tokens_per_completed_task.map_or_else(none, |n| format!("{n:.0}"))),
            line("tokens not used", worth.tokens_not_used.to_string()),
            line("tokens saved by pausing", self.token_savings.saved.to_string()),
        ];
        let savings = &self.token_savings;
        let mean = savings.tokens_per_wake.map_or_else(none, |mean| mean.to_string());
        let wakes = [
            line("wakes of idle peers", savings.wakes.to_string()),
            line("tokens a wake", mean),
            line("wakes avoided", savings.wakes_avoided.to_string()),
        ];
        let is_woken = savings.wakes + savings.wakes_avoided > 0;
        let rows: Vec<_> = rows.into_iter().chain(wakes.into_iter().filter(|_| is_woken)).collect();
        table(&["WORTH", ">"], &rows)
    }
}
