//! Nodes that were given up on and come back, as processes of the operating system that are stopped (SIGSTOP) and go on
//! (SIGCONT), over one log that they share.
//!
//! A play has two nodes and an operator. Each round a task is submitted, the node that runs it is stopped, given up on,
//! its task is done by the other under the same attempt number, and the stopped one goes on: while the other works, or
//! after. `MESHWORK_ZOMBIES=1000 cargo test -p meshwork --test zombies` plays more rounds than the 100 of every day.

#![expect(clippy::unwrap_used, reason = "tests")]

mod node;
mod play;
mod shared_log;

use meshwork::log::Log;
use meshwork::log::contract::{Place, suite};
use meshwork::view::{NoEntries, View};
use meshwork_core::{AttemptOutcome, Batch, Op, Position, TaskNo, decode_batch};
use node::Bodies;
use play::Play;
use shared_log::SharedLog;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shared_log_keeps_the_contract() {
    suite(|| {
        let folder = tempfile::tempdir().unwrap();
        Place::durable(move || Arc::new(SharedLog::open(folder.path())) as Arc<dyn Log>)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_of_the_shared_log_agree_on_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let handles: Vec<Arc<SharedLog>> = (0..2).map(|_| Arc::new(SharedLog::open(folder.path()))).collect();
    let authors: Vec<_> = handles
        .iter()
        .enumerate()
        .map(|(author, log)| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    log.append(format!("{author} {number}").into()).await.unwrap();
                }
            })
        })
        .collect();
    for author in authors {
        author.await.unwrap();
    }
    let mut read = Vec::new();
    for log in &handles {
        let mut batches = Vec::new();
        for seq in 1..=100 {
            batches.push(log.read(seq).await.unwrap());
        }
        assert_eq!(log.last().await, Ok(100));
        read.push(batches);
    }
    assert_eq!(read[0], read[1]);
    let different: BTreeSet<_> = read[0].iter().collect();
    assert_eq!(different.len(), 100);
}

/// The play starts this very program again as its nodes; on its own it has nothing to be.
#[test]
fn a_process_that_was_started_as_a_node_is_one() {
    let Some(folder) = std::env::var_os(node::FOLDER) else { return };
    let (name, bodies) = (std::env::var(node::NODE).unwrap(), std::env::var(node::BODIES).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(node::run(&PathBuf::from(folder), &name, &bodies));
}

fn rounds() -> u64 {
    std::env::var("MESHWORK_ZOMBIES").ok().and_then(|count| count.parse().ok()).unwrap_or(100)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shells_of_a_node_that_was_given_up_on_finish_and_count_for_nothing() {
    play(Bodies::Shells, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_of_a_node_that_was_given_up_on_count_for_nothing() {
    play(Bodies::Within, 2).await;
}

async fn play(bodies: Bodies, seed: u64) {
    let mut play = Play::begin(bodies, seed).await;
    for number in 0..rounds() {
        play.round(number).await;
    }
    let zombies = play.zombies;
    let (log, effects, folder) = play.end().await;
    let told = Told::of(&log);
    told.check();
    told.check_effects(&effects);
    report(bodies, zombies, &told);
    drop(folder);
    assert!(zombies > 0, "no node held its task when it was given up on");
    assert!(
        bodies == Bodies::Within || told.refused.len() as u64 >= rounds() / 4,
        "{} results came late",
        told.refused.len()
    );
}

#[expect(clippy::print_stderr, reason = "the figures of a long run")]
fn report(bodies: Bodies, zombies: u32, told: &Told) {
    eprintln!(
        "zombies ({bodies:?}): {} rounds, {zombies} nodes given up on with a task in their hands, {} results handed in \
         by them, {} accepted",
        rounds(),
        told.refused.len(),
        told.accepted_of_lost
    );
}

/// What the log says, read once more from its first batch.
struct Told {
    view: View,
    /// Accepted results that were ok, by task.
    accepted: BTreeMap<TaskNo, u32>,
    /// Results that were refused.
    refused: Vec<(TaskNo, Position)>,
    /// Entries of an incarnation that were accepted after its loss.
    accepted_of_lost: u32,
}

impl Told {
    fn of(log: &[bytes::Bytes]) -> Self {
        let (accepted, refused) = (BTreeMap::new(), Vec::new());
        let mut told = Self { view: View::new(), accepted, refused, accepted_of_lost: 0 };
        let mut lost = BTreeSet::new();
        for (bytes, seq) in log.iter().zip(1..) {
            let batch = decode_batch(bytes).unwrap();
            let applied = told.view.step(seq, &batch, false).unwrap().applied;
            for (index, (op, effects)) in batch.entries.iter().zip(&applied.effects).enumerate() {
                let refused = effects.refusal.is_some();
                told.entry(op, Position::new(seq, index), refused);
                let joins = matches!(op, Op::Open { .. } | Op::Join { .. });
                told.accepted_of_lost += u32::from(is_of_lost(&batch, &lost) && !refused && !joins);
                if let (Op::NodeLost { incarnation, .. }, false) = (op, refused) {
                    lost.insert(*incarnation);
                }
            }
        }
        told
    }

    fn entry(&mut self, op: &Op, at: Position, refused: bool) {
        match op {
            Op::Return(returned) if refused => self.refused.push((returned.task, at)),
            Op::Return(returned) if returned.outcome == AttemptOutcome::Ok => {
                *self.accepted.entry(returned.task).or_default() += 1;
            }
            _ => {}
        }
    }

    /// One result counts, whatever came; the others are kept, and shown to whoever asks why.
    fn check(&self) {
        let swarm = self.view.swarm();
        swarm.check_invariants();
        assert_eq!(self.accepted_of_lost, 0, "nothing that a lost node says is accepted");
        for (no, task) in swarm.tasks() {
            assert_eq!(self.accepted.get(&no), Some(&1), "results of {} that count", task.id);
            assert_eq!(task.attempt, 1, "an interruption keeps the number of the attempt: {}", task.id);
        }
        for (no, at) in &self.refused {
            let kept = swarm.rejected(*no).find(|kept| kept.at == *at);
            assert_eq!(kept.map(|kept| kept.outcome), Some(AttemptOutcome::Ok), "a refused result is kept");
            let document = self.view.explain(*no, false, &NoEntries).unwrap();
            let of_it = document.task().rejected.iter().find(|kept| kept.position == at.to_string()).unwrap();
            let (peer, node) = (of_it.peer_id.as_deref().unwrap(), of_it.node.as_deref().unwrap());
            assert_eq!((of_it.attempt, peer), (Some(1), &*node::peer_of(node)), "who it was");
            let refusal = of_it.refusal.as_deref().unwrap();
            assert!(refusal.contains("is not present") || refusal.contains("grant"), "{refusal}");
            let text = document.human();
            let row = text.lines().find(|line| line.contains(&at.to_string())).unwrap_or_else(|| panic!("{text}"));
            assert!(row.contains(peer) && row.contains(" ok ") && row.contains(refusal), "{row}");
            let attempts: Vec<_> = document.task().attempts.iter().map(|one| (one.number, one.outcome)).collect();
            let interrupted = attempts.iter().filter(|(_, how)| how.is_some_and(|how| how.word() == "interrupted"));
            assert!(interrupted.count() >= 1, "the attempt that was taken away: {attempts:?}");
        }
    }

    /// Bodies left their lines for attempts that were granted, and no process of them is left. Two of a task may have
    /// overlapped: that is not promised away.
    fn check_effects(&self, effects: &str) {
        let mut began: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in effects.lines() {
            let [word, id, peer, pid] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
            *began.entry((id, peer)).or_default() += usize::from(word == "begin");
            assert!(!play::is_left(pid), "the process of {line:?} is left");
        }
        let swarm = self.view.swarm();
        for ((id, peer), count) in began {
            let no = swarm.find_task(id).unwrap();
            let document = self.view.explain(no, false, &NoEntries).unwrap();
            let granted = document.task().attempts.iter().filter(|attempt| attempt.peer_id == peer).count();
            assert!(count <= granted, "{peer} began {id} {count} times for {granted} grants");
        }
    }
}

fn is_of_lost(batch: &Batch, lost: &BTreeSet<Position>) -> bool {
    lost.contains(&batch.author.incarnation)
}
