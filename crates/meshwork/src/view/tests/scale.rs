//! A large fold: small enough for every day, as large as `MESHWORK_VIEW_TASKS` says for a measurement:
//! `MESHWORK_VIEW_TASKS=1000000 cargo test --release -p meshwork view::tests::scale -- --nocapture`.

use super::play::{LOG, START, task};
use crate::view::{RuntimeFacts, View};
use meshwork_core::{
    AttemptOutcome, Author, Batch, Config, Effect, Op, PeerSpec, Position, Returned, Seen, Submission, Tokens, VERSION,
};

/// How many tasks a measurement folds; up to 100,000 of them with rows.
const TASKS: &str = "MESHWORK_VIEW_TASKS";

/// A log of `tasks` tasks in batches of at most 1,000 entries' worth.
fn log(tasks: usize) -> Vec<Batch> {
    let mut swarm = meshwork_core::Swarm::new();
    let mut batches: Vec<Batch> = Vec::new();
    let mut running = Vec::new();
    let mut author = Author { node: "n".into(), incarnation: Position::START };
    let (log_id, swarm_id, config) = (LOG.into(), "sw".into(), Config::default());
    let mut pending = vec![vec![
        Op::Open { log_id, swarm_id, config, version: VERSION },
        Op::Join { replaces: Position::START, version: VERSION, sessions: 8 },
    ]];
    let peer = |n: usize| PeerSpec {
        id: format!("p{n}"),
        capabilities: Vec::new(),
        slots: 100,
        uses_session: false,
        token_budget: None,
    };
    let peers = (0..10).map(|n| Op::PeerUp(peer(n))).collect();
    let submissions = (0..tasks).step_by(500).map(|from| {
        let tasks = (from..tasks.min(from + 500)).map(|n| task(&format!("task-{n}"), &[])).collect();
        vec![Op::Submit(Submission { tasks, parent: None, more: false })]
    });
    pending.push(peers);
    pending.extend(submissions);
    pending.push(vec![Op::Seal { round: 1 }]);
    let mut pending = pending.into_iter();
    let mut number = 0;
    while let Some(entries) = pending.next().or_else(|| (!running.is_empty()).then(|| ends(&mut running))) {
        let seq = batches.len() as u64 + 1;
        let batch = Batch { author: author.clone(), seq: number, seen: Seen::default(), time_ms: START + seq, entries };
        for effect in swarm.apply_batch(seq, &batch).unwrap().effects.iter().flat_map(|effects| &effects.list) {
            match effect {
                Effect::Start { task, grant, .. } => running.push((*task, *grant)),
                Effect::Joined { .. } => author.incarnation = Position::new(seq, 1),
                _ => {}
            }
        }
        number += 1;
        batches.push(batch);
    }
    assert!(swarm.last_round().is_some_and(|round| round.ok as usize == tasks));
    batches
}

fn ends(running: &mut Vec<(meshwork_core::TaskNo, meshwork_core::Grant)>) -> Vec<Op> {
    let end = |(task, grant)| {
        Op::Return(Returned {
            task,
            grant,
            outcome: AttemptOutcome::Ok,
            result: None,
            error: None,
            usage: Tokens { input: 1, output: 1 },
            started_ms: START,
            ran_ms: 1,
            messages_open: false,
        })
    };
    running.drain(..).map(end).collect()
}

#[expect(clippy::print_stderr, reason = "a measurement that a person asked for")]
fn measure(tasks: usize, rows: bool) {
    let batches = log(tasks);
    let mut swarm = meshwork_core::Swarm::new();
    let start = std::time::Instant::now();
    for (index, batch) in batches.iter().enumerate() {
        let _ = swarm.apply_batch(index as u64 + 1, batch).unwrap();
    }
    let alone = start.elapsed();
    drop(swarm);
    let mut view = View::new();
    let mut told = 0;
    let start = std::time::Instant::now();
    for (index, batch) in batches.iter().enumerate() {
        told += view.step(index as u64 + 1, batch, rows).unwrap().rows.len();
    }
    let folded = start.elapsed();
    let start = std::time::Instant::now();
    let report = view.report(&RuntimeFacts::default());
    let reported = start.elapsed();
    assert!(report.succeeded && report.tasks.len() == tasks);
    assert_eq!(view.status().tasks.completed, tasks as u64);
    let resident = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = resident.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("").to_owned();
    eprintln!("{tasks} tasks: swarm alone {alone:?}, folded {folded:?} ({told} rows), report {reported:?}, {peak}");
}

#[test]
fn a_fold_of_many_tasks_holds_them_all() {
    let tasks = std::env::var(TASKS).ok().map(|number| number.parse().unwrap());
    measure(tasks.unwrap_or(2_000), tasks.is_none_or(|tasks| tasks <= 100_000));
}
