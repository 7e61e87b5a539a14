//! What `--format json` prints.

use super::Arguments;
use super::campaign::Campaign;
use crate::output::SCHEMA_VERSION;
use meshwork_core::sim::{FindingKind, Report};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    schema_version: u32,
    plan: PlanDocument,
    schedules: u64,
    interrupted: bool,
    simulated_ms: u64,
    events: u64,
    tasks: u64,
    attempts: u64,
    rounds: u64,
    injected: &'a BTreeMap<&'static str, u64>,
    situations: &'a BTreeMap<&'static str, u64>,
    log: LogDocument,
    messages: MessagesDocument,
    detection: DetectionDocument,
    imbalance: Vec<Sample>,
    regressions_found: u64,
    findings: BTreeMap<&'static str, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<FirstDocument<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    trace: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanDocument {
    nodes: u32,
    peers: u32,
    slots: u32,
    tasks: u32,
    workload: String,
    faults: String,
    seed: u64,
    schedules: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogDocument {
    entries: u64,
    refused: u64,
    batches: u64,
    duplicates: u64,
    appends: u64,
    deliveries: u64,
    stale_results: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagesDocument {
    sent: u64,
    dead_letters: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DetectionDocument {
    completions: u64,
    first_sum_ms: u64,
    first_max_ms: u64,
    last_sum_ms: u64,
    last_max_ms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    at_ms: u64,
    permille: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FirstDocument<'a> {
    seed: u64,
    kind: &'static str,
    at_ms: u64,
    text: &'a str,
    replay: String,
    trace: &'a [String],
}

impl<'a> Document<'a> {
    pub(super) fn new(arguments: &Arguments, campaign: &'a Campaign, trace: &'a [String]) -> Self {
        let Campaign { report, findings, first, interrupted, .. } = campaign;
        let count = |kind: &FindingKind| (kind.name(), findings.get(kind).copied().unwrap_or(0));
        let first = first.as_ref().map(|first| FirstDocument {
            seed: first.seed,
            kind: first.finding.kind.name(),
            at_ms: first.finding.at_ms,
            text: &first.finding.text,
            replay: arguments.replay(first.seed),
            trace: &first.trace,
        });
        let sample = |(at_ms, permille): &(u64, u64)| Sample { at_ms: *at_ms, permille: *permille };
        Self {
            schema_version: SCHEMA_VERSION,
            plan: PlanDocument::new(arguments),
            schedules: report.schedules,
            interrupted: *interrupted,
            simulated_ms: report.simulated_ms,
            events: report.events,
            tasks: report.tasks,
            attempts: report.attempts,
            rounds: report.rounds,
            injected: &report.injected,
            situations: &report.situations,
            log: LogDocument::new(report),
            messages: MessagesDocument { sent: report.messages, dead_letters: report.dead_letters },
            detection: DetectionDocument {
                completions: report.detection.count,
                first_sum_ms: report.detection.first_sum_ms,
                first_max_ms: report.detection.first_max_ms,
                last_sum_ms: report.detection.last_sum_ms,
                last_max_ms: report.detection.last_max_ms,
            },
            imbalance: report.imbalance.iter().filter(|_| report.schedules == 1).map(sample).collect(),
            regressions_found: report.regressions_found,
            findings: FindingKind::ALL.iter().map(count).collect(),
            first,
            trace,
        }
    }
}

impl PlanDocument {
    fn new(arguments: &Arguments) -> Self {
        let plan = arguments.plan(arguments.seed);
        let workload = match arguments.workload {
            super::Workloads::One(workload) => workload.name(),
            super::Workloads::All => "all",
        };
        Self {
            nodes: plan.nodes,
            peers: plan.peers,
            slots: plan.slots,
            tasks: plan.tasks,
            workload: workload.to_owned(),
            faults: plan.faults.to_string(),
            seed: plan.seed,
            schedules: arguments.schedules,
        }
    }
}

impl LogDocument {
    fn new(report: &Report) -> Self {
        Self {
            entries: report.entries,
            refused: report.refused,
            batches: report.batches,
            duplicates: report.duplicates,
            appends: report.appends,
            deliveries: report.deliveries,
            stale_results: report.stale_results,
        }
    }
}
