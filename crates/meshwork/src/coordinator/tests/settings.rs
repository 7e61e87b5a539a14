//! What each setting changes, where no other test shows it. In the tests' own time, which stands still while anybody has
//! anything to do.

use super::*;
use crate::broker::SendError;
use crate::coordinator::Running;
use crate::messaging::{Message, MessageBroker, MessageHandler};
use crate::topology::Strategy;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The broadcasts that ask who is there, as they come over the bus.
fn queries(bus: &Broker) -> mpsc::UnboundedReceiver<Instant> {
    let (told, heard) = mpsc::unbounded_channel();
    let handler = MessageHandler::new(move |message: Arc<Message>| {
        if message.kind == "peer-query" {
            let _over = told.send(Instant::now());
        }
        std::future::ready(Ok(()))
    });
    let bus: &dyn MessageBroker = bus;
    bus.subscribe("mesh.swarm.discovery", handler).unwrap();
    heard
}

#[tokio::test(start_paused = true)]
async fn peers_ask_who_is_there_every_discovery_interval() {
    for seconds in [4, 7] {
        let settings = MeshCoordinatorConfig { discovery_interval: Duration::from_secs(seconds), ..config(2) };
        let world = world(settings, vec![echo(&[])]);
        let mut heard = queries(&world.bus);
        soon(world.coordinator.initialize()).await.unwrap();
        let mut last = soon(heard.recv()).await.unwrap();
        for _ in 0..3 {
            let next = soon(heard.recv()).await.unwrap();
            assert_eq!(next.duration_since(last).as_secs(), seconds);
            last = next;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn completion_is_given_up_after_the_timeout_with_nothing_going_on() {
    for completion_timeout in [Duration::from_millis(300), config(1).completion_timeout, Duration::from_secs(9)] {
        let world = world(MeshCoordinatorConfig { completion_timeout, ..config(1) }, vec![echo(&["x"])]);
        let mesh = &world.coordinator;
        soon(mesh.initialize()).await.unwrap();
        soon(mesh.pause_agent("swarm-peer-1", None)).await.unwrap();
        soon(mesh.submit_task(task("t", &["x"]))).await.unwrap();
        let began = Instant::now();
        assert!(!soon(mesh.wait_for_mesh_completion()).await.unwrap());
        assert_eq!(began.elapsed(), completion_timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_paused_after_so_long_with_nothing_to_do() {
    let usual = MeshCoordinatorConfig::default().pause_idle_after;
    assert_eq!(usual, Some(Duration::from_secs(1)));
    for pause_idle_after in [usual, Some(Duration::from_secs(7)), None] {
        let world = world(MeshCoordinatorConfig { pause_idle_after, ..config(1) }, vec![echo(&[])]);
        let mesh = &world.coordinator;
        let began = Instant::now();
        soon(mesh.initialize()).await.unwrap();
        let mut reached = mesh.running().unwrap().shared.reached();
        let paused = reached.wait_for(|_| !mesh.paused_agents().is_empty());
        let paused = tokio::time::timeout(Duration::from_secs(25), paused).await.is_ok();
        assert_eq!(paused, pause_idle_after.is_some());
        if let Some(after) = pause_idle_after {
            assert_eq!(began.elapsed().as_secs(), after.as_secs());
        }
    }
}

/// Two peers with one slot each: seven tasks are at the first, one runs at the second, which may take any.
struct Lopsided {
    world: World,
    _open: [tokio::sync::watch::Sender<bool>; 2],
}

impl Lopsided {
    async fn with(settings: MeshCoordinatorConfig) -> Self {
        let ((first, one), (second, two)) = (gated(&["x"]), gated(&["x", "y"]));
        let settings = MeshCoordinatorConfig { peer_count: 2, max_concurrent_tasks_per_peer: 1, ..settings };
        let world = world(settings, vec![first, second]);
        let mesh = &world.coordinator;
        soon(mesh.initialize()).await.unwrap();
        assert_eq!(soon(mesh.assign_task_to_peer(task("y", &["y"]))).await.unwrap(), "swarm-peer-2");
        soon(mesh.pause_agent("swarm-peer-2", None)).await.unwrap();
        for n in 0..7 {
            let task = task(&format!("x{n}"), &["x"]);
            assert_eq!(soon(mesh.assign_task_to_peer(task)).await.unwrap(), "swarm-peer-1");
        }
        soon(mesh.resume_agent("swarm-peer-2", None)).await.unwrap();
        let lopsided = Self { world, _open: [one, two] };
        assert_eq!(lopsided.loads(), [7, 1]);
        lopsided
    }

    fn running(&self) -> Arc<Running> {
        self.world.coordinator.running().unwrap()
    }

    fn loads(&self) -> [u64; 2] {
        ["swarm-peer-1", "swarm-peer-2"].map(|id| self.world.coordinator.peer(id).unwrap().load)
    }

    /// When the loads changed; `None`: not in 25 s.
    async fn evened(&self) -> Option<Instant> {
        let mut reached = self.running().shared.reached();
        let changed = reached.wait_for(|_| self.loads() != [7, 1]);
        tokio::time::timeout(Duration::from_secs(25), changed).await.ok()?.unwrap();
        Some(Instant::now())
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_tasks_move_by_themselves_at_the_rebalance_interval() {
    for seconds in [3, 5, 8] {
        let began = Instant::now();
        let rebalance_interval = Duration::from_secs(seconds);
        let lopsided = Lopsided::with(MeshCoordinatorConfig { rebalance_interval, ..config(2) }).await;
        let evened = lopsided.evened().await.expect("it looks at the balance");
        assert_eq!(evened.duration_since(began).as_secs(), seconds);
        assert_eq!(lopsided.loads(), [4, 4]);
    }
    assert_eq!(config(2).rebalance_interval, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn they_stay_where_they_are_within_the_threshold_and_when_nobody_is_to_move_them() {
    // Of loads 7 and 1 the largest is 1.75 times the mean.
    let moves = MeshCoordinatorConfig { load_imbalance_threshold: 1.7, ..config(2) };
    assert!(Lopsided::with(moves).await.evened().await.is_some());
    let lopsided = Lopsided::with(MeshCoordinatorConfig { load_imbalance_threshold: 1.8, ..config(2) }).await;
    assert_eq!(lopsided.evened().await, None);
    let by_hand = Lopsided::with(MeshCoordinatorConfig { enable_auto_rebalance: false, ..config(2) }).await;
    assert_eq!(by_hand.evened().await, None);
    for asked in [lopsided, by_hand] {
        soon(asked.world.coordinator.rebalance_mesh()).await.unwrap();
        assert_eq!(asked.loads(), [4, 4], "there were moves");
    }
    let never = Lopsided::with(MeshCoordinatorConfig { enable_load_balancing: false, ..config(2) }).await;
    assert_eq!(never.evened().await, None);
    soon(never.world.coordinator.rebalance_mesh()).await.unwrap();
    assert_eq!(never.loads(), [7, 1]);
}

#[tokio::test]
async fn the_tools_of_tasks_send_within_the_limits_of_the_message_bus_config() {
    let limits = [BrokerConfig::default(), BrokerConfig { max_message_bytes: 99, ..BrokerConfig::default() }];
    for (message_bus_config, refused) in limits.into_iter().zip([None, Some((99, 100))]) {
        let (says, mut said) = mpsc::unbounded_channel();
        let sends = agent(&[], move |attempt| {
            let says = says.clone();
            async move {
                let sent = attempt.tools.messages().send("swarm-peer-1", "note", Bytes::from(vec![b'1'; 100])).await;
                let _over = says.send(match sent {
                    Ok(_) => None,
                    Err(SendError::TooLarge { limit, found }) => Some((limit, found)),
                    Err(other) => panic!("{other}"),
                });
                AttemptEnd::ok(Output::None)
            }
        });
        let world = world(MeshCoordinatorConfig { message_bus_config, ..config(1) }, vec![sends]);
        soon(world.coordinator.initialize()).await.unwrap();
        soon(world.coordinator.submit_task(task("t", &[]))).await.unwrap();
        assert_eq!(soon(said.recv()).await, Some(refused));
    }
}

#[tokio::test]
async fn the_log_has_the_strategy_that_places_tasks() {
    // What it does is the core's: `performance_gives_a_task_to_whoever_is_expected_to_end_it_first`, and its neighbours.
    for strategy in [Strategy::Balanced, Strategy::Adaptive, Strategy::Performance] {
        let world = world(MeshCoordinatorConfig { strategy, ..config(1) }, vec![echo(&[])]);
        soon(world.coordinator.initialize()).await.unwrap();
        let running = world.coordinator.running().unwrap();
        assert_eq!(running.shared.books().view.swarm().config().strategy, strategy);
    }
}
