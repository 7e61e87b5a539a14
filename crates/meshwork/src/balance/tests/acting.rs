//! What it does by itself, and for whom somebody else moves tasks.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::time::advance;

use super::*;

/// A swarm of two, as a coordinator would have it: the first has all tasks until they are moved.
struct Two {
    swarm: &'static str,
    state: Mutex<TwoState>,
}

struct TwoState {
    loads: [f64; 2],
    has_move: bool,
    fails: bool,
    looked: u64,
    asked: u64,
}

impl Two {
    fn with(loads: [f64; 2]) -> Arc<Self> {
        let state = TwoState { loads, has_move: true, fails: false, looked: 0, asked: 0 };
        Arc::new(Self { swarm: "s", state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, TwoState> {
        self.state.lock().unwrap()
    }

    fn loads(state: &TwoState) -> BTreeMap<String, f64> {
        BTreeMap::from([("a".to_owned(), state.loads[0]), ("b".to_owned(), state.loads[1])])
    }
}

impl Mover for Two {
    fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
        async { Ok(vec![self.swarm.to_owned()]) }.boxed()
    }

    fn look<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
        assert_eq!(swarm_id, self.swarm);
        let mut state = self.state();
        state.looked += 1;
        let tasks = state.loads.iter().sum::<f64>() as u64;
        let outlook = Outlook { tasks, has_move: state.has_move, loads: Self::loads(&state) };
        async { Ok(outlook) }.boxed()
    }

    fn rebalance<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
        assert_eq!(swarm_id, self.swarm);
        let mut state = self.state();
        state.asked += 1;
        let moved = if state.fails {
            Err(MoveError::Foreign("the log is full; no task was moved".to_owned()))
        } else {
            let half = state.loads.iter().sum::<f64>() / 2.0;
            let tasks = (state.loads[0] - half) as u64;
            state.loads = [half; 2];
            state.has_move = false;
            Ok(Moved { tasks, loads: Self::loads(&state) })
        };
        async { moved }.boxed()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets that much time go by, second by second, and everybody do what it brings.
async fn pass(time: u64) {
    for _ in 0..time {
        advance(seconds(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

fn acting(config: LoadBalancerConfig, two: &Arc<Two>) -> LoadBalancer {
    LoadBalancer::with_mover(config, two.clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_looks_every_interval_and_not_at_all_when_it_is_not_to() {
    for interval in [5, 9] {
        let two = Two::with([1.0, 1.0]);
        let _balancer =
            acting(LoadBalancerConfig { rebalance_interval: seconds(interval), ..LoadBalancerConfig::default() }, &two);
        pass(90).await;
        assert_eq!(two.state().looked, 90 / interval);
    }
    let two = Two::with([9.0, 0.0]);
    let _balancer = acting(asked(), &two);
    pass(90).await;
    assert_eq!(two.state().looked, 0);
}

#[tokio::test(start_paused = true)]
async fn it_acts_past_the_threshold_and_an_aggressive_one_whenever_there_is_a_move() {
    let usual = LoadBalancerConfig::default();
    let strict = LoadBalancerConfig { imbalance_threshold: 1.4, ..usual };
    let aggressive = LoadBalancerConfig { aggressive_rebalancing: true, ..usual };
    // Largest ÷ mean is 1.5 in the first two, and 2 in the third.
    for (config, loads, acts) in [
        (usual, [6.0, 2.0], false),
        (strict, [6.0, 2.0], true),
        (usual, [8.0, 0.0], true),
        (aggressive, [6.0, 2.0], true),
    ] {
        let two = Two::with(loads);
        let balancer = acting(config, &two);
        pass(30).await;
        assert_eq!(two.state().asked, u64::from(acts), "{config:?} {loads:?}");
        assert_eq!(balancer.metrics().tasks_redistributed, if acts { (loads[0] - 4.0) as u64 } else { 0 });
        assert_eq!(balancer.metrics().total_rebalances, u64::from(acts), "a look is no rebalance");
        assert!((balancer.peer_load("a") - if acts { 4.0 } else { 6.0 }).abs() < f64::EPSILON, "it has seen the loads");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_move_or_with_few_tasks_it_does_nothing() {
    let two = Two::with([8.0, 0.0]);
    two.state().has_move = false;
    let _first = acting(LoadBalancerConfig { aggressive_rebalancing: true, ..LoadBalancerConfig::default() }, &two);
    let few = Two::with([8.0, 0.0]);
    let _second = acting(LoadBalancerConfig { min_tasks_for_rebalance: 9, ..LoadBalancerConfig::default() }, &few);
    pass(30).await;
    assert_eq!((two.state().asked, few.state().asked), (0, 0));
    assert_eq!((two.state().looked, few.state().looked), (6, 6));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_counted_and_it_goes_on() {
    let two = Two::with([8.0, 0.0]);
    two.state().fails = true;
    let balancer = acting(LoadBalancerConfig::default(), &two);
    let error = balancer.rebalance("s").await.unwrap_err().to_string();
    assert_eq!(error, "could not rebalance swarm \"s\": the log is full; no task was moved");
    pass(10).await;
    two.state().fails = false;
    pass(10).await;
    let metrics = balancer.metrics();
    assert_eq!((metrics.total_rebalances, metrics.successful_rebalances, metrics.failed_rebalances), (4, 1, 3));
    assert_eq!(metrics.total_rebalances, two.state().asked);
    assert_eq!(metrics.tasks_redistributed, 4);
}

#[tokio::test(start_paused = true)]
async fn every_figure_of_a_balancer_is_what_was_counted_beside_it() {
    let two = Two::with([9.0, 1.0]);
    let balancer = acting(asked(), &two);
    let mut told = 0;
    for (peer, load) in [("a", 9.0), ("a", 8.0), ("b", 4.0), ("c", 0.0)] {
        balancer.update_peer_load(peer, load).unwrap();
        told += 1;
    }
    balancer.update_peer_load("a", f64::NAN).unwrap_err();
    two.state().fails = true;
    balancer.rebalance("s").await.unwrap_err();
    let before = balancer.metrics();
    two.state().fails = false;
    let moved = balancer.rebalance("s").await.unwrap() + balancer.rebalance("s").await.unwrap();
    let LoadBalancerMetrics {
        total_rebalances,
        successful_rebalances,
        failed_rebalances,
        average_rebalance_time_ms,
        tasks_redistributed,
        load_updates,
        current_imbalance_ratio,
    } = balancer.metrics();
    assert_eq!((total_rebalances, successful_rebalances, failed_rebalances), (3, 2, 1));
    assert_eq!((tasks_redistributed, load_updates), (moved, told));
    assert_eq!(moved, 4);
    assert!(average_rebalance_time_ms.abs() < f64::EPSILON, "no time went by");
    // 8, 4 and 0 were told; 5, 5 and 0 it is after the moves.
    assert!((before.current_imbalance_ratio - 2.0).abs() < f64::EPSILON);
    assert!((current_imbalance_ratio - 1.5).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn stored_states_are_looked_after_in_every_swarm() {
    let shelf = Shelf::new();
    let states =
        store(&shelf, "s", [peer("a", AgentState::Idle, &["1", "2", "3", "4"]), peer("b", AgentState::Idle, &[])])
            .await;
    store(&shelf, "t", [peer("c", AgentState::Idle, &["1", "2", "3"]), peer("d", AgentState::Idle, &[])]).await;
    let balancer = LoadBalancer::new(LoadBalancerConfig::default(), shelf).unwrap();
    pass(10).await;
    let lengths = async |swarm: &str| tasks(&states, swarm).await.values().map(Vec::len).collect::<Vec<_>>();
    assert_eq!((lengths("s").await, lengths("t").await), (vec![2, 2], vec![2, 1]));
    assert_eq!(balancer.metrics().tasks_redistributed, 3);
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_takes_as_long_as_it_takes() {
    struct Slow;
    impl Mover for Slow {
        fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
            async { Ok(Vec::new()) }.boxed()
        }

        fn look<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
            async { Ok(Outlook { tasks: 2, has_move: true, loads: BTreeMap::new() }) }.boxed()
        }

        fn rebalance<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
            async move {
                advance(Duration::from_millis(swarm_id.parse().unwrap())).await;
                Ok(Moved::default())
            }
            .boxed()
        }
    }
    let balancer = LoadBalancer::with_mover(asked(), Arc::new(Slow)).unwrap();
    for ms in ["20", "40"] {
        balancer.rebalance(ms).await.unwrap();
    }
    assert_eq!(balancer.metrics().average_rebalance_time_ms.round() as u64, 30);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_looks_no_more_and_nothing_is_left_of_it() {
    let two = Two::with([1.0, 1.0]);
    let balancer = acting(LoadBalancerConfig::default(), &two);
    pass(5).await;
    drop(balancer);
    pass(60).await;
    assert_eq!(two.state().looked, 1);
    assert_eq!(Arc::strong_count(&two), 1);
}
