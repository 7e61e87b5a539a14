//! Messages between ten peers through our broker, and through the actors of kameo and ractor, in one process with one
//! allocator: `cargo run --release -p meshwork-versus -- [--runs 5] [--messages 1000000] [--format json]`.
//!
//! Ours are acknowledged and counted for completion; theirs are asked, which is as much as they acknowledge. Mailboxes
//! hold 10,000 messages, except ractor's, which have no limit. All make a new 256-byte buffer for each message and
//! count messages and bytes where they arrive.

#![expect(clippy::unwrap_used, reason = "whoever measures wants to see a failure at once")]

#[expect(dead_code, reason = "more is measured by the program itself")]
#[path = "../../crates/meshwork-cli/src/bench/measure.rs"]
mod measure;
#[path = "../../crates/meshwork-cli/src/bench/traffic.rs"]
mod traffic;

use measure::Figure;
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Instant;
use tokio::task::JoinSet;
use traffic::{AtOnce, BYTES, PEERS, Picks, payload, rate, share};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As many as a mailbox of ours holds.
const MAILBOX: usize = 10_000;

/// What an actor has seen.
#[derive(Clone, Copy, Default)]
struct Tally {
    messages: u64,
    bytes: u64,
}

impl Tally {
    fn one(&mut self, bytes: usize) -> u64 {
        self.messages += 1;
        self.bytes += bytes as u64;
        self.messages
    }

    fn and(self, other: Self) -> Self {
        Self { messages: self.messages + other.messages, bytes: self.bytes + other.bytes }
    }
}

mod kameo_actors {
    use super::*;
    use kameo::Actor;
    use kameo::actor::{ActorRef, Spawn};
    use kameo::mailbox;
    use kameo::message::{Context, Message};

    #[derive(Actor)]
    struct Peer(Tally);

    struct Work(bytes::Bytes);
    struct Seen;

    impl Message<Work> for Peer {
        type Reply = u64;

        async fn handle(&mut self, work: Work, _: &mut Context<Self, u64>) -> u64 {
            self.0.one(work.0.len())
        }
    }

    impl Message<Seen> for Peer {
        type Reply = (u64, u64);

        async fn handle(&mut self, _: Seen, _: &mut Context<Self, (u64, u64)>) -> (u64, u64) {
            (self.0.messages, self.0.bytes)
        }
    }

    pub(super) async fn ask(messages: usize, at_once: AtOnce) -> Result<f64, String> {
        let spawn = || Peer::spawn_with_mailbox(Peer(Tally::default()), mailbox::bounded(MAILBOX));
        let peers: Vec<ActorRef<Peer>> = (0..PEERS).map(|_| spawn()).collect();
        let started = Instant::now();
        let mut senders = JoinSet::new();
        for me in 0..PEERS {
            senders.spawn(sender(peers.clone(), me, share(messages), at_once.most()));
        }
        senders.join_all().await;
        let mut all = Tally::default();
        for peer in &peers {
            let (messages, bytes) = peer.ask(Seen).await.unwrap();
            all = all.and(Tally { messages, bytes });
        }
        rate(messages, all.messages, all.bytes, started)
    }

    async fn sender(peers: Vec<ActorRef<Peer>>, me: usize, count: usize, most: usize) {
        let (mut picks, mut open) = (Picks::of(me), VecDeque::new());
        for _ in 0..count {
            let peer = &peers[picks.next()];
            if most == 1 {
                peer.ask(Work(payload())).await.unwrap();
                continue;
            }
            open.push_back(peer.ask(Work(payload())).enqueue().await.unwrap());
            if open.len() >= most {
                open.pop_front().unwrap().await.unwrap();
            }
        }
        for reply in open {
            reply.await.unwrap();
        }
    }
}

mod ractor_actors {
    use super::*;
    use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

    struct Peer;

    enum Word {
        Work(bytes::Bytes, RpcReplyPort<u64>),
        Seen(RpcReplyPort<(u64, u64)>),
    }

    impl Actor for Peer {
        type Msg = Word;
        type State = Tally;
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Word>, (): ()) -> Result<Tally, ActorProcessingErr> {
            Ok(Tally::default())
        }

        async fn handle(&self, _: ActorRef<Word>, word: Word, seen: &mut Tally) -> Result<(), ActorProcessingErr> {
            match word {
                Word::Work(work, reply) => reply.send(seen.one(work.len()))?,
                Word::Seen(reply) => reply.send((seen.messages, seen.bytes))?,
            }
            Ok(())
        }
    }

    pub(super) async fn ask(messages: usize, at_once: AtOnce) -> Result<f64, String> {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            peers.push(Actor::spawn(None, Peer, ()).await.unwrap().0);
        }
        let started = Instant::now();
        let mut senders = JoinSet::new();
        for me in 0..PEERS {
            senders.spawn(sender(peers.clone(), me, share(messages), at_once.most()));
        }
        senders.join_all().await;
        let mut all = Tally::default();
        for peer in &peers {
            let (messages, bytes) = peer.call(Word::Seen, None).await.unwrap().unwrap();
            all = all.and(Tally { messages, bytes });
        }
        let rate = rate(messages, all.messages, all.bytes, started);
        peers.iter().for_each(|peer| peer.stop(None));
        rate
    }

    async fn sender(peers: Vec<ActorRef<Word>>, me: usize, count: usize, most: usize) {
        let (mut picks, mut open) = (Picks::of(me), VecDeque::new());
        for _ in 0..count {
            let peer = &peers[picks.next()];
            if most == 1 {
                peer.call(|reply| Word::Work(payload(), reply), None).await.unwrap().unwrap();
                continue;
            }
            let (reply, replied) = ractor::concurrency::oneshot();
            peer.cast(Word::Work(payload(), reply.into())).unwrap();
            open.push_back(replied);
            if open.len() >= most {
                open.pop_front().unwrap().await.unwrap();
            }
        }
        for reply in open {
            reply.await.unwrap();
        }
    }
}

/// What was asked on the command line.
struct Asked {
    runs: usize,
    messages: usize,
    json: bool,
}

fn asked() -> Asked {
    let mut asked = Asked { runs: 3, messages: 1_000_000, json: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
        match word.as_str() {
            "--runs" => asked.runs = number().expect("--runs is followed by a number over 0"),
            "--messages" => asked.messages = number().expect("--messages is followed by a number over 0"),
            "--format" => asked.json = words.next().as_deref() == Some("json"),
            other => panic!("{other} is none of --runs, --messages, --format"),
        }
    }
    asked
}

/// One way of sending: messages a second of one run.
fn once<F>(run: impl FnOnce() -> F) -> f64
where
    F: Future<Output = Result<f64, String>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // On the runtime's own threads, where messages are sent.
    let running = runtime.spawn(run());
    runtime.block_on(running).unwrap().unwrap()
}

/// In turn, so that all meet the same machine; the first run of each is a warm-up.
fn compare(asked: &Asked, at_once: AtOnce, theirs: AtOnce) -> Vec<Figure> {
    let mut rates: [Vec<f64>; 4] = Default::default();
    for run in 0..=asked.runs {
        let messages = asked.messages;
        let of_all = [
            once(|| traffic::of_attempts(messages, at_once)),
            once(|| traffic::of_any_broker(messages, at_once)),
            once(|| kameo_actors::ask(messages, theirs)),
            once(|| ractor_actors::ask(messages, theirs)),
        ];
        if run > 0 {
            rates.iter_mut().zip(of_all).for_each(|(rates, rate)| rates.push(rate));
        }
    }
    let [attempts, any, kameo, ractor] = rates;
    let name = |of: &str, at_once: AtOnce| format!("{BYTES} B between {PEERS} peers, {of}, {}", at_once.words());
    let kameo = Figure::of(name(&format!("kameo {} ask", version("kameo")), theirs), "msg/s", kameo);
    let ractor = Figure::of(name(&format!("ractor {} call", version("ractor")), theirs), "msg/s", ractor);
    let best = if kameo.median > ractor.median { &kameo } else { &ractor };
    let ours = |of: &str, rates| Figure::of(name(of, at_once), "msg/s", rates).against(best.name.clone(), best.median);
    vec![ours("ours, by attempts", attempts), ours("ours, by `send_to_peer`", any), kameo, ractor]
}

/// The version of a crate in the lock file.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")));
    entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next()).unwrap_or("of an unknown version")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    version: &'static str,
    cores: usize,
    figures: Vec<Figure>,
}

fn main() {
    let asked = asked();
    let mut figures = Vec::new();
    // As each is used: a body of ours goes on, and ends when all is acknowledged; who asks waits. Then like and like.
    for (at_once, theirs) in
        [(AtOnce::All, AtOnce::One), (AtOnce::Some(64), AtOnce::Some(64)), (AtOnce::One, AtOnce::One)]
    {
        let compared = compare(&asked, at_once, theirs);
        if !asked.json {
            measure::print(&compared);
        }
        figures.extend(compared);
    }
    if asked.json {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let document = Document { schema_version: 1, version: env!("CARGO_PKG_VERSION"), cores, figures };
        measure::print_json(&document).unwrap();
    }
}
