//! Ballots on our broker, with voters on one side and on two.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;

use super::*;
use crate::broker::{Broker, BrokerConfig, MailInMemory};

/// Far longer than anything here takes, in the tests' own time: reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(3_600);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it never happened")
}

fn broker() -> Arc<dyn MessageBroker> {
    let (broker, settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    drop(settled);
    Arc::new(broker)
}

fn consensus(config: ConsensusConfig) -> Consensus {
    Consensus::new(config, broker()).unwrap()
}

fn leader() -> ConsensusConfig {
    ConsensusConfig { protocol: Some(ConsensusProtocol::Leader), ..ConsensusConfig::default() }
}

fn names(voters: &[&str]) -> Vec<String> {
    voters.iter().map(|voter| (*voter).to_owned()).collect()
}

/// Votes as the proposal says: `{"ada": true}`.
fn votes_as_told(consensus: &Consensus, voters: &[&str]) {
    for voter in voters {
        let vote = |proposal: Proposal| async move {
            let approve = proposal.content[&proposal.voter_id].as_bool().unwrap();
            Vote { approve, reason: Some(format!("{} in {}", proposal.voter_id, proposal.swarm_id)) }
        };
        consensus.register_voter(voter, vote).unwrap();
    }
}

/// Never votes; says how often it was asked.
fn silent(consensus: &Consensus, voter: &str) -> Arc<AtomicU64> {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let handler = move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        pending()
    };
    consensus.register_voter(voter, handler).unwrap();
    asked
}

fn undecided(error: ConsensusError) -> (u32, Turnout) {
    match error {
        ConsensusError::Undecided { needed, turnout } => (needed, *turnout),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn real_votes_decide_with_their_reasons() {
    let consensus = consensus(ConsensusConfig::default());
    votes_as_told(&consensus, &["ada", "ben", "eve"]);
    let voters = names(&["ada", "ben", "eve"]);
    let yes = within(consensus.propose("s", &voters, json!({ "ada": true, "ben": false, "eve": true }))).await.unwrap();
    assert!(yes.approved);
    let said: Vec<_> = yes.turnout.votes.iter().map(|vote| (vote.voter_id.as_str(), vote.approve)).collect();
    assert!(said.contains(&("ada", true)) && said.contains(&("eve", true)), "{said:?}");
    assert_eq!(yes.turnout.votes[0].reason.as_deref(), Some("ada in s"));
    assert_eq!(yes.turnout.votes.len() + yes.turnout.not_voted.len(), 3);
    let no = within(consensus.propose("s", &voters, json!({ "ada": false, "ben": false, "eve": true }))).await.unwrap();
    assert!(!no.approved);
    assert_ne!(yes.turnout.ballot_id, no.turnout.ballot_id);
    let json = serde_json::to_value(&no).unwrap();
    assert_eq!(json["approved"], false);
    assert_eq!(json["votes"][0]["voterId"], "ada");
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_asked_again_and_named() {
    let config = ConsensusConfig { max_retries: 2, ..ConsensusConfig::default() };
    let consensus = consensus(config);
    votes_as_told(&consensus, &["ada"]);
    let asked = silent(&consensus, "ben");
    let voters = names(&["ada", "ben", "nobody"]);
    let before = Instant::now();
    let error = within(consensus.propose("s", &voters, json!({ "ada": true }))).await.unwrap_err();
    assert_eq!(error.to_string(), "only 1 of 2 votes needed were cast; ben, nobody had not voted");
    let (needed, turnout) = undecided(error);
    assert_eq!((needed, turnout.asked), (2, 3 + 2 + 2));
    assert_eq!(turnout.not_voted, ["ben", "nobody"]);
    assert_eq!(before.elapsed().as_secs(), 90, "three askings of 30 s, in the tests' own time");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "whoever is thinking is not disturbed");
}

#[tokio::test(start_paused = true)]
async fn the_votes_that_came_decide_after_the_last_asking() {
    let config = ConsensusConfig { quorum_size: Some(1), timeout_ms: 10, max_retries: 0, ..ConsensusConfig::default() };
    let consensus = consensus(config);
    votes_as_told(&consensus, &["ada"]);
    let decision = within(consensus.propose("s", &names(&["ada", "ben"]), json!({ "ada": true }))).await.unwrap();
    assert!(decision.approved);
    assert_eq!(decision.turnout.not_voted, ["ben"]);
}

#[tokio::test(start_paused = true)]
async fn votes_are_waited_for_and_asked_for_again_as_often_as_it_is_said() {
    for (timeout_ms, max_retries, waited) in [(7, 0, 7), (7, 3, 28), (90, 1, 180)] {
        let consensus = consensus(ConsensusConfig { timeout_ms, max_retries, ..ConsensusConfig::default() });
        let before = Instant::now();
        let error = within(consensus.propose("s", &names(&["nobody"]), json!(1))).await.unwrap_err();
        assert_eq!(undecided(error).1.asked, 1 + u64::from(max_retries));
        assert_eq!(before.elapsed().as_millis(), waited, "in the tests' own time");
    }
}

#[tokio::test(start_paused = true)]
async fn the_threshold_decides_how_many_must_approve() {
    for (threshold, approved) in [(0.5, true), (2.0 / 3.0, true), (0.75, false)] {
        let consensus = consensus(ConsensusConfig { threshold, ..ConsensusConfig::default() });
        votes_as_told(&consensus, &["a", "b", "c"]);
        let proposal = json!({ "a": true, "b": true, "c": false });
        let decision = within(consensus.propose("s", &names(&["a", "b", "c"]), proposal)).await.unwrap();
        assert_eq!(decision.approved, approved, "{threshold}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_leader_alone_is_asked_and_followed_when_it_is_lost() {
    let consensus = consensus(leader());
    votes_as_told(&consensus, &["ben", "eve"]);
    let thinking = Arc::new(Semaphore::new(0));
    let seen = Arc::clone(&thinking);
    let handler = move |_| {
        seen.add_permits(1);
        pending()
    };
    consensus.register_voter("queen", handler).unwrap();
    let voters = names(&["queen", "ben", "eve"]);
    let proposal = json!({ "ben": false, "eve": true });
    let lose = async {
        drop(thinking.acquire().await.unwrap());
        assert!(consensus.remove_voter("queen"));
    };
    let (decision, ()) = within(async { tokio::join!(consensus.propose("s", &voters, proposal), lose) }).await;
    let decision = decision.unwrap();
    assert!(!decision.approved, "as ben says");
    assert_eq!((decision.turnout.votes.len(), decision.turnout.asked), (1, 2));
    assert_eq!(decision.turnout.lost, ["queen"]);
    assert_eq!(decision.turnout.not_voted, ["queen", "eve"]);
    assert!(!consensus.remove_voter("queen"), "it is gone");
}

#[tokio::test(start_paused = true)]
async fn a_ballot_ends_when_too_few_are_left() {
    let consensus = consensus(ConsensusConfig::default());
    let (ben, eve) = (silent(&consensus, "ben"), silent(&consensus, "eve"));
    let voters = names(&["ben", "eve"]);
    let before = Instant::now();
    let lose = async {
        while ben.load(Ordering::SeqCst) + eve.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        consensus.voter_lost("eve");
    };
    let (ended, ()) = within(async { tokio::join!(consensus.propose("s", &voters, json!(1)), lose) }).await;
    let (needed, turnout) = undecided(ended.unwrap_err());
    assert_eq!((needed, turnout.lost.as_slice()), (2, &names(&["eve"])[..]));
    assert!(before.elapsed().is_zero(), "nobody waits for the lost");
}

#[tokio::test(start_paused = true)]
async fn voters_may_be_on_another_side_and_in_another_swarm_nobody_hears() {
    let broker = broker();
    let here = Consensus::new(ConsensusConfig::default(), Arc::clone(&broker)).unwrap();
    let there = Consensus::new(ConsensusConfig::default(), Arc::clone(&broker)).unwrap();
    votes_as_told(&here, &["ada"]);
    votes_as_told(&there, &["ben", "eve"]);
    let all = json!({ "ada": true, "ben": true, "eve": true });
    let decision = within(here.propose("s", &names(&["ada", "ben", "eve"]), all)).await.unwrap();
    assert!(decision.approved);
    assert_eq!((here.metrics().ballots, there.metrics().ballots), (1, 0));
    drop(there);
    let error = within(here.propose("s", &names(&["ben", "eve"]), json!({}))).await.unwrap_err();
    assert_eq!(undecided(error).1.not_voted, ["ben", "eve"], "who has gone does not answer");
}

#[tokio::test(start_paused = true)]
async fn a_voter_that_breaks_has_not_voted_and_may_think_again() {
    let consensus = consensus(ConsensusConfig::default());
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let handler = move |_| {
        let first = counter.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "the first call breaks");
            Vote::approve()
        }
    };
    consensus.register_voter("ada", handler).unwrap();
    let decision = within(consensus.propose("s", &names(&["ada"]), json!(1))).await.unwrap();
    assert!(decision.approved);
    assert_eq!((calls.load(Ordering::SeqCst), decision.turnout.asked), (2, 2));
}

/// Sends a vote in somebody's name.
async fn forge(broker: &Arc<dyn MessageBroker>, ballot_id: &str, voter_id: &str) {
    let cast = Cast { ballot_id: ballot_id.to_owned(), voter_id: voter_id.to_owned(), approve: true, reason: None };
    let vote = message(VOTE, &cast).unwrap();
    broker.publish("mesh.s.consensus", vote).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_vote_is_counted_by_what_became_of_it() {
    let broker = broker();
    let consensus = Consensus::new(ConsensusConfig::default(), Arc::clone(&broker)).unwrap();
    votes_as_told(&consensus, &["a", "b"]);
    let gate = Arc::new(Semaphore::new(0));
    let (opened, other) = (Arc::clone(&gate), Arc::clone(&broker));
    let handler = move |proposal: Proposal| {
        let (gate, broker) = (Arc::clone(&opened), Arc::clone(&other));
        async move {
            forge(&broker, &proposal.ballot_id, "a").await; // it has voted, or will have: one of both is a duplicate
            forge(&broker, &proposal.ballot_id, "stranger").await;
            drop(gate.acquire().await.unwrap());
            Vote::reject()
        }
    };
    consensus.register_voter("c", handler).unwrap();
    let voters = names(&["a", "b", "c"]);
    let (sees, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let watch = MessageHandler::new(move |message: Arc<Message>| {
        let told = if message.kind == VOTE { sees.send(()).is_ok() } else { true };
        async move { told.then_some(()).ok_or_else(|| HandlerError::new("the test is over")) }
    });
    broker.subscribe("mesh.s.consensus", watch).unwrap();
    let open = async {
        // The votes of `a` and `b`, which differ, and the forged ones come before `c` may decide.
        for _ in 0..4 {
            seen.recv().await.unwrap();
        }
        gate.add_permits(1);
    };
    let votes = json!({ "a": true, "b": false });
    let (decision, ()) = within(async { tokio::join!(consensus.propose("s", &voters, votes), open) }).await;
    let decision = decision.unwrap();
    assert!(!decision.approved);
    forge(&broker, &decision.turnout.ballot_id, "b").await;
    forge(&broker, "another side's", "b").await;
    let expected = ConsensusMetrics {
        ballots: 1,
        rejected: 1,
        asked: 3,
        votes_counted: 3,
        votes_duplicate: 1,
        votes_not_asked: 1,
        votes_late: 1,
        ..ConsensusMetrics::default()
    };
    within(async {
        while consensus.metrics() != expected {
            assert!(consensus.metrics().votes_late <= 1, "{:?}", consensus.metrics());
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_is_forgotten() {
    let consensus = consensus(ConsensusConfig::default());
    let asked = silent(&consensus, "ada");
    let voters = names(&["ada"]);
    let mut call = Box::pin(consensus.propose("s", &voters, json!(1)));
    let started = async {
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = &mut call => panic!("{ended:?}"),
        () = within(started) => {}
    }
    drop(call);
    assert!(consensus.inner.books().running.is_empty());
    let metrics = consensus.metrics();
    assert_eq!((metrics.ballots, metrics.undecided, metrics.asked), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_and_nobody_is_asked() {
    let refused = |config| Consensus::new(config, broker()).err().unwrap().to_string();
    let usual = ConsensusConfig::default;
    assert_eq!(refused(ConsensusConfig { timeout_ms: 0, ..usual() }), "timeoutMs is 0: expected at least 1");
    assert_eq!(refused(ConsensusConfig { quorum_size: Some(0), ..usual() }), "quorumSize is 0: expected at least 1");
    for threshold in [0.0, -1.0, 1.01, f64::NAN] {
        let said = refused(ConsensusConfig { threshold, ..usual() });
        assert_eq!(said, format!("threshold is {threshold}: expected a share of at least 0.001 and at most 1"));
    }
    let consensus = consensus(ConsensusConfig { quorum_size: Some(3), ..usual() });
    let asked = silent(&consensus, "a");
    let refused = async |swarm, voters: &[&str]| {
        consensus.propose(swarm, &names(voters), json!(1)).await.unwrap_err().to_string()
    };
    let nobody = "a ballot without voters: found 0, expected at least 1; nobody was asked";
    assert_eq!(refused("s", &[]).await, nobody);
    assert_eq!(refused("s", &["a", "b"]).await, "a quorum of 3 of 2 voters: expected 1 to 2; nobody was asked");
    let twice = "voter \"a\" is named twice: expected each once; nobody was asked";
    assert_eq!(refused("s", &["a", "b", "a"]).await, twice);
    assert!(refused("s.t", &["a", "b", "c"]).await.contains("contains a dot"));
    assert_eq!((asked.load(Ordering::SeqCst), consensus.metrics().ballots), (0, 0));
    let again = consensus.register_voter("a", |_| async { Vote::reject() }).unwrap_err();
    assert_eq!(again.to_string(), "voter \"a\" is registered already; nothing changed");
}

#[tokio::test]
async fn many_ballots_at_once_each_get_their_own_answer() {
    let consensus = Arc::new(consensus(ConsensusConfig::default()));
    votes_as_told(&consensus, &["a", "b", "c", "d", "e"]);
    let voters = names(&["a", "b", "c", "d", "e"]);
    let mut running = tokio::task::JoinSet::new();
    for number in 0..200_u32 {
        let (consensus, voters) = (Arc::clone(&consensus), voters.clone());
        running.spawn(async move {
            let yes = |bit: u32| number >> bit & 1 == 1;
            let votes = json!({ "a": yes(0), "b": yes(1), "c": yes(2), "d": yes(3), "e": yes(4) });
            let decision = consensus.propose("s", &voters, votes).await.unwrap();
            assert_eq!(decision.approved, (number & 31).count_ones() > 2, "{number}");
        });
    }
    within(async {
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
    })
    .await;
    let metrics = consensus.metrics();
    let approved = (0..200_u32).filter(|number| (number & 31).count_ones() > 2).count() as u64;
    assert_eq!((metrics.ballots, metrics.approved, metrics.rejected), (200, approved, 200 - approved));
}
