//! The metrics against counts that are made directly from the entries and the refusals, by other means.

use super::play::{Play, task};
use crate::view::{OutcomeWord, RunReport, RuntimeFacts, TaskState};
use meshwork_core::{AttemptOutcome, DownReason, Op, Swarm, TaskSpec, Tokens, decode_batch};
use std::collections::BTreeMap;

/// A small generator, so that the same seed plays the same log.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn random_run(seed: u64) -> Play {
    let mut dice = Dice(seed);
    let mut play = Play::new();
    for peer in ["p0", "p1", "p2"] {
        play.peer(peer, &[], 2);
    }
    for n in 0..60 {
        let earlier = format!("t{}", n / 2);
        let dependencies: &[&str] = if n > 0 && dice.roll(3) == 0 { &[&earlier] } else { &[] };
        let retries = u32::try_from(dice.roll(3)).unwrap();
        play.submit(vec![TaskSpec { retries, ..task(&format!("t{n}"), dependencies) }]);
    }
    play.seal();
    while play.view.swarm().round().is_some() {
        play.pass(dice.roll(20));
        let running = play.running();
        if running.is_empty() || dice.roll(25) == 0 {
            let peer = format!("p{}", dice.roll(3));
            play.one(Op::PeerDown { peer: peer.clone(), why: DownReason::Died });
            play.peer(&peer, &[], 2);
            continue;
        }
        let pick = running[usize::try_from(dice.roll(running.len() as u64)).unwrap()];
        let id = play.view.swarm().task(pick).unwrap().id.to_string();
        let outcome = match dice.roll(8) {
            0 => AttemptOutcome::Failed,
            1 => AttemptOutcome::TimedOut,
            2 => AttemptOutcome::Lost,
            _ => AttemptOutcome::Ok,
        };
        let mut returned = play.end(&id, outcome, dice.roll(50));
        returned.usage = Tokens { input: dice.roll(100), output: dice.roll(10) };
        let twice = returned.clone();
        play.one(Op::Return(returned));
        if dice.roll(5) == 0 {
            play.one(Op::Return(twice));
        }
    }
    play
}

/// What the entries say, counted without the view.
#[derive(Debug, Default, PartialEq)]
struct Counted {
    ok: u64,
    bad: u64,
    tokens: u64,
    rejected: u64,
    announcements: u64,
    started: BTreeMap<u32, u64>,
    run_ms: u64,
}

fn count(play: &Play) -> (Counted, Swarm) {
    let mut swarm = Swarm::new();
    let mut counted = Counted::default();
    for (seq, bytes) in &play.batches {
        let batch = decode_batch(bytes).unwrap();
        let applied = swarm.apply_batch(*seq, &batch).unwrap();
        for (op, effects) in batch.entries.iter().zip(&applied.effects) {
            match op {
                Op::PeerUp(_) => counted.announcements += 1,
                Op::Return(_) if effects.refusal.is_some() => counted.rejected += 1,
                Op::Return(returned) => {
                    let ok = returned.outcome == AttemptOutcome::Ok;
                    *(if ok { &mut counted.ok } else { &mut counted.bad }) += 1;
                    counted.tokens += returned.usage.total();
                    counted.run_ms += returned.ran_ms;
                }
                // Its attempts that were running are lost without a word.
                Op::PeerDown { .. } => {
                    let ended =
                        |effect: &&meshwork_core::Effect| matches!(effect, meshwork_core::Effect::AttemptEnded { .. });
                    counted.bad += effects.list.iter().filter(ended).count() as u64;
                }
                _ => {}
            }
            for effect in &effects.list {
                if let meshwork_core::Effect::Start { task, .. } = effect {
                    *counted.started.entry(task.0).or_default() += 1;
                }
            }
        }
    }
    (counted, swarm)
}

fn check(report: &RunReport, counted: &Counted, swarm: &Swarm) {
    let sum = |f: fn(&crate::view::PeerMetrics) -> u64| report.peers.iter().map(|peer| f(&peer.metrics)).sum::<u64>();
    assert_eq!(sum(|metrics| metrics.tasks_completed), counted.ok);
    assert_eq!(sum(|metrics| metrics.tasks_failed), counted.bad);
    assert_eq!(report.metrics.total_tokens_used, counted.tokens);
    assert_eq!(report.discovery.peer_announcements_received, counted.announcements);
    let attempts: u64 = report.tasks.iter().map(|task| task.attempts.len() as u64).sum();
    assert_eq!(attempts, counted.started.values().sum::<u64>());
    assert_eq!(attempts, counted.ok + counted.bad);
    let last = swarm.last_round().unwrap();
    assert_eq!(report.metrics.completed_tasks, u64::from(last.ok));
    assert_eq!(report.metrics.failed_tasks, u64::from(last.failed));
    assert_eq!(report.succeeded, last.failed == 0);
    assert!(report.worth.busy_ms >= counted.run_ms, "what was lost without a word ran too");
    assert!(report.worth.critical_path_ms <= report.worth.busy_ms);
    let rejected: usize = report.tasks.iter().map(|task| task.rejected.len()).sum();
    assert_eq!(rejected as u64, counted.rejected);
    let of_tasks: u64 = report.tasks.iter().flat_map(|task| &task.attempts).filter_map(|one| one.tokens).sum();
    assert_eq!(of_tasks, counted.tokens);
    let used: u64 = report
        .tasks
        .iter()
        .filter(|task| task.state == TaskState::Completed)
        .map(|task| {
            let ok = |one: &&crate::view::AttemptReport| one.outcome == Some(OutcomeWord::Ok);
            task.attempts.iter().filter(ok).filter_map(|one| one.tokens).sum::<u64>()
        })
        .sum();
    assert_eq!(report.worth.tokens_not_used, counted.tokens - used);
}

#[test]
fn metrics_equal_counts_made_from_the_entries() {
    for seed in 1..=20 {
        let play = random_run(seed * 7_919);
        let report = play.view.report(&RuntimeFacts::default());
        let (counted, swarm) = count(&play);
        check(&report, &counted, &swarm);
        let refused = play.rows.iter().filter(|row| row.event == crate::view::EventKind::EntryRefused).count();
        assert_eq!(refused as u64, counted.rejected);
    }
}

#[test]
fn the_facts_of_every_task_are_those_that_explain_tells() {
    let mut play = random_run(42);
    play.submit((0..30).map(|n| task(&format!("more{n}"), &[])).collect());
    let tasks = play.view.tasks().tasks;
    for task in tasks {
        let why = play.view.swarm().explain(play.no(&task.id)).unwrap();
        let facts = (task.returned, task.settled, task.verified, task.closed);
        assert_eq!(facts, (why.returned, why.settled, why.verified, why.closed), "{}", task.id);
        assert_eq!((task.state.word(), task.outcome), (why.state, why.outcome.map(OutcomeWord::from)));
    }
}
