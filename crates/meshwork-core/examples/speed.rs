use meshwork_core::*;
use std::time::Instant;
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
struct M {
    s: Swarm,
    a: Author,
    seq: u64,
}
impl M {
    fn new(cfg: Config) -> M {
        let a = Author { node: "n".into(), incarnation: Position::START };
        let mut m = M { s: Swarm::new(), a, seq: 0 };
        m.go(vec![Op::Open { log_id: "l".into(), swarm_id: "s".into(), config: cfg, version: VERSION }]);
        m.go(vec![Op::Join { replaces: Position::START, version: VERSION, sessions: 1000000 }]);
        m.a.incarnation = Position::new(2, 0);
        m
    }
    fn go(&mut self, entries: Vec<Op>) -> Vec<Effects> {
        if self.a.incarnation > Position::START {
            self.seq += 1;
        }
        let b = Batch { author: self.a.clone(), seq: self.seq, seen: self.s.last(), time_ms: 0, entries };
        self.s.apply_batch(self.s.last().seq + 1, &b).unwrap().effects
    }
}
fn spec(i: usize) -> TaskSpec {
    TaskSpec {
        id: format!("task-{i:07}"),
        kind: "work".into(),
        description: "do the work that is to be done".into(),
        priority: 5,
        ..Default::default()
    }
}
fn ret(task: TaskNo, grant: Position) -> Op {
    Op::Return(Returned {
        task,
        grant,
        outcome: AttemptOutcome::Ok,
        result: None,
        error: None,
        usage: Tokens::default(),
        started_ms: 0,
        ran_ms: 5,
        messages_open: false,
    })
}
fn main() {
    let what = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    match what.as_str() {
        "run" => {
            let mut m = M::new(Config::default());
            let peers: usize = std::env::args().nth(3).map_or(10, |x| x.parse().unwrap());
            for p in 0..peers {
                m.go(vec![Op::PeerUp(PeerSpec {
                    id: format!("p{p}"),
                    capabilities: vec![],
                    slots: 64,
                    uses_session: false,
                    token_budget: None,
                })]);
            }
            let parts: Vec<Op> = (0..n)
                .collect::<Vec<_>>()
                .chunks(500)
                .map(|c| {
                    Op::Submit(Submission {
                        tasks: c.iter().map(|i| spec(*i)).collect(),
                        parent: None,
                        more: c[c.len() - 1] + 1 < n,
                    })
                })
                .collect();
            let t = Instant::now();
            let mut started = vec![];
            for p in parts {
                for e in m.go(vec![p]) {
                    started.extend(e.list);
                }
            }
            let sub = t.elapsed();
            m.go(vec![Op::Seal { round: 1 }]);
            let t = Instant::now();
            let mut ents = 0u64;
            let mut apply = std::time::Duration::ZERO;
            while m.s.round().is_some() {
                let ops: Vec<Op> = started
                    .drain(..)
                    .filter_map(
                        |e| if let Effect::Start { task, grant, .. } = e { Some(ret(task, grant)) } else { None },
                    )
                    .collect();
                assert!(!ops.is_empty());
                for c in ops.chunks(256) {
                    ents += c.len() as u64;
                    let c = c.to_vec();
                    let t = Instant::now();
                    for e in m.go(c) {
                        started.extend(e.list);
                    }
                    apply += t.elapsed();
                }
            }
            println!(
                "submit {:?} ({:.2} us/task) returns {} {:?} {:.2} us/entry (apply only {:.2})",
                sub,
                sub.as_secs_f64() * 1e6 / n as f64,
                ents,
                t.elapsed(),
                t.elapsed().as_secs_f64() * 1e6 / ents as f64,
                apply.as_secs_f64() * 1e6 / ents as f64
            );
        }
        "mem" => {
            let mut m = M::new(Config::default());
            let before = rss();
            let t = Instant::now();
            for i in (0..n).step_by(500) {
                m.go(vec![Op::Submit(Submission {
                    tasks: (i..i + 500).map(spec).collect(),
                    parent: None,
                    more: false,
                })]);
            }
            println!(
                "mem {} B/task, {:?}; size of Task {}",
                (rss() - before) / n as u64,
                t.elapsed(),
                std::mem::size_of::<Task>()
            );
            let t = Instant::now();
            let b = m.s.snapshot().unwrap();
            println!("snapshot {} B/task {:?}", b.len() / n, t.elapsed());
            let t = Instant::now();
            let r = Swarm::restore(&b).unwrap();
            println!("restore {:?} {}", t.elapsed(), r.state_hash() == m.s.state_hash());
        }
        "lat" => {
            // n peers, 100 capabilities, 3 each
            let mut m = M::new(Config::default());
            let t = Instant::now();
            for p in 0..n {
                m.go(vec![Op::PeerUp(PeerSpec {
                    id: format!("p{p}"),
                    capabilities: (0..3).map(|k| format!("c{}", (p * 7 + k * 31) % 100)).collect(),
                    slots: 4,
                    uses_session: false,
                    token_budget: None,
                })]);
            }
            println!("peers up {:?} {:.2} us each", t.elapsed(), t.elapsed().as_secs_f64() * 1e6 / n as f64);
            let mut ts = vec![];
            let mut live = vec![];
            for i in 0..60000 {
                let mut s = spec(i);
                s.requires = vec![format!("c{}", i % 100)];
                s.retries = 9;
                let op = Op::Submit(Submission { tasks: vec![s], parent: None, more: false });
                let t = Instant::now();
                let e = m.go(vec![op]);
                ts.push(t.elapsed());
                for e in e {
                    live.extend(e.list);
                }
            }
            let pr = |name: &str, ts: &mut Vec<std::time::Duration>| {
                ts.sort();
                println!(
                    "{name}: p50 {:?} p99 {:?} max {:?}",
                    ts[ts.len() / 2],
                    ts[ts.len() * 99 / 100],
                    ts[ts.len() - 1]
                );
            };
            pr("submit", &mut ts);
            ts.clear();
            let starts: Vec<Op> = live
                .drain(..)
                .filter_map(|e| if let Effect::Start { task, grant, .. } = e { Some(ret(task, grant)) } else { None })
                .collect();
            for op in starts.iter().take(10000) {
                let t = Instant::now();
                for e in m.go(vec![op.clone()]) {
                    live.extend(e.list);
                }
                ts.push(t.elapsed());
            }
            pr("return", &mut ts);
            ts.clear();
            for op in starts.iter().skip(10000).take(3000) {
                let Op::Return(r) = op else { panic!() };
                let t = Instant::now();
                for e in m.go(vec![Op::Return(Returned { outcome: AttemptOutcome::Failed, ..r.clone() })]) {
                    live.extend(e.list);
                }
                ts.push(t.elapsed());
            }
            pr("fail", &mut ts);
            ts.clear();
            for p in 0..200 {
                let peer = format!("p{p}");
                let t = Instant::now();
                m.go(vec![Op::Pause { peer: peer.clone(), reason: PauseReason::User }]);
                ts.push(t.elapsed());
                let t = Instant::now();
                m.go(vec![Op::Resume { peer }]);
                ts.push(t.elapsed());
            }
            pr("pause/resume", &mut ts);
            ts.clear();
            let w: Vec<_> = m.s.open_waits().map(|(w, _)| w).collect();
            println!("waits {}", w.len());
            for wait in w {
                let t = Instant::now();
                m.go(vec![Op::Due { wait }]);
                ts.push(t.elapsed());
            }
            pr("due", &mut ts);
            ts.clear();
            for _ in 0..3 {
                let t = Instant::now();
                m.go(vec![Op::Rebalance]);
                ts.push(t.elapsed());
            }
            pr("rebalance", &mut ts);
        }
        _ => {}
    }
}
