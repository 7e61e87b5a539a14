//! A task that finds its peer among 10,000 with 100 capabilities: the core alone.

use super::Setting;
use super::measure::{Figure, percentile};
use super::swarm::task;
use meshwork_core::{
    AttemptOutcome, Author, Batch, Config, Effect, Op, PeerSpec, Position, Returned, Seen, Submission, Swarm, TaskSpec,
    Tokens, VERSION,
};
use std::time::Instant;

const PEERS: u32 = 10_000;
const CAPABILITIES: u32 = 100;

pub(super) fn decision(setting: &Setting) -> Result<Vec<Figure>, String> {
    let count = setting.tasks.unwrap_or(100_000);
    let mut swarm = peopled()?;
    let author = author(&swarm);
    let mut samples = Vec::with_capacity(count as usize);
    let mut seq = swarm.last().seq;
    let mut running = std::collections::VecDeque::new();
    for n in 0..count {
        let spec =
            TaskSpec { requires: vec![format!("c{}", n * 7 % CAPABILITIES)], ..task(format!("t{n}"), Vec::new()) };
        let submission = Submission { tasks: vec![spec], parent: None, more: false };
        let op = Op::Submit(submission);
        seq += 1;
        let at = Position::new(seq, 0);
        let started = Instant::now();
        let effects = swarm.apply(at, &author, &op);
        samples.push(started.elapsed().as_secs_f64() * 1e6);
        running.extend(effects.list.iter().filter_map(|effect| match effect {
            Effect::Start { task, grant, .. } => Some((*task, *grant)),
            _ => None,
        }));
        // Half as many run as there are peers, so that there is a choice.
        if running.len() > PEERS as usize / 2
            && let Some((task, grant)) = running.pop_front()
        {
            seq += 1;
            let _freed = swarm.apply(Position::new(seq, 0), &author, &returned(task, grant));
        }
    }
    let p50 = percentile(&mut samples, 50.0);
    let p99 = percentile(&mut samples, 99.0);
    let name = |what: &str| format!("task submitted → assigned, {PEERS} peers, {CAPABILITIES} capabilities, {what}");
    Ok(vec![Figure::of(name("p50"), "µs", vec![p50]), Figure::of(name("p99"), "µs", vec![p99]).against("50 µs", 50.0)])
}

fn returned(task: meshwork_core::TaskNo, grant: meshwork_core::Grant) -> Op {
    Op::Return(Returned {
        task,
        grant,
        outcome: AttemptOutcome::Ok,
        result: None,
        error: None,
        usage: Tokens::default(),
        started_ms: 0,
        ran_ms: 1,
        messages_open: false,
    })
}

fn author(swarm: &Swarm) -> Author {
    Author { node: "bench".to_owned(), incarnation: swarm.last_incarnation("bench") }
}

/// A swarm with all peers up; each has three of the capabilities.
fn peopled() -> Result<Swarm, String> {
    let mut swarm = Swarm::new();
    let open = Op::Open {
        log_id: "bench".to_owned(),
        swarm_id: "bench".to_owned(),
        config: Config::default(),
        version: VERSION,
    };
    let join = Op::Join { replaces: Position::START, version: VERSION, sessions: 1 };
    let first = Author { node: "bench".to_owned(), incarnation: Position::START };
    let mut batch = |seq: u64, author: Author, number: u64, entries: Vec<Op>| {
        let batch = Batch { author, seq: number, seen: Seen::default(), time_ms: 0, entries };
        let applied = swarm.apply_batch(seq, &batch).map_err(|error| error.to_string())?;
        match applied.effects.into_iter().find_map(|effects| effects.refusal) {
            Some(refusal) => Err(refusal.to_string()),
            None => Ok(swarm.last_incarnation("bench")),
        }
    };
    let incarnation = batch(1, first, 0, vec![open, join])?;
    let peer = |n: u32| {
        let capabilities = [n, n * 3 + 1, n * 7 + 2].map(|c| format!("c{}", c % CAPABILITIES)).to_vec();
        Op::PeerUp(PeerSpec { id: format!("p{n}"), capabilities, slots: 1, uses_session: false, token_budget: None })
    };
    batch(2, Author { node: "bench".to_owned(), incarnation }, 1, (0..PEERS).map(peer).collect())?;
    Ok(swarm)
}
