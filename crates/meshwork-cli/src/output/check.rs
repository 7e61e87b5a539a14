//! What `check` found, for people and programs.

use super::SCHEMA_VERSION;
use meshwork::file::CheckReport;
use meshwork::view::{table, visible};
use serde::Serialize;
use std::fmt::Write as _;

/// Tasks of one kind that are listed; the JSON has all of them.
const LISTED: usize = 20;

/// The report with the version of its shape.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckDocument {
    schema_version: u32,
    #[serde(flatten)]
    report: CheckReport,
}

impl From<CheckReport> for CheckDocument {
    fn from(report: CheckReport) -> Self {
        Self { schema_version: SCHEMA_VERSION, report }
    }
}

impl CheckDocument {
    /// For people.
    pub fn human(&self) -> String {
        let report = &self.report;
        let verdict = if report.can_finish { "can finish" } else { "can not finish" };
        let mut out = format!("{}: {verdict}\n\n", visible(&report.swarm_id));
        let line = |name: &str, value: u64| vec![name.to_owned(), value.to_string()];
        out.push_str(&table(
            &["WHAT", ">"],
            &[
                vec!["topology".to_owned(), report.chosen_topology.word().to_owned()],
                line("peers", report.peers),
                line("slots", report.slots),
                line("tasks", report.tasks),
                line("dependencies", report.dependencies),
                line("longest chain of tasks", report.critical_path),
                line("most tasks side by side", report.widest_layer),
            ],
        ));
        let impossible = report.unsatisfiable_tasks.iter().map(|task| task.message.clone());
        section(&mut out, "Can never run", impossible);
        let behind = report.unreachable_tasks.iter();
        let behind = behind.map(|task| format!("task `{}` waits for `{}`", task.task_id, task.because_of));
        section(&mut out, "Never start because of those", behind);
        section(&mut out, "Errors", report.topology.errors.iter().cloned());
        section(&mut out, "Warnings", report.topology.warnings.iter().chain(&report.warnings).cloned());
        section(&mut out, "Suggestions", report.topology.suggestions.iter().cloned());
        let unused = report.unused_peers.iter().map(|peer| format!("peer `{peer}`"));
        section(&mut out, "No task can be given to", unused);
        out
    }
}

/// A title and the first lines below it; nothing where there are none.
fn section(out: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "\n{title}:");
    for line in lines.by_ref().take(LISTED) {
        let _ = writeln!(out, "  {}", visible(&line));
    }
    match lines.count() {
        0 => {}
        more => {
            let _ = writeln!(out, "  and {more} more");
        }
    }
}
