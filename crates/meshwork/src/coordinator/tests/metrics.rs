//! Every figure of a mesh against what the test itself counted. Structs are taken apart without `..`: a new field has to
//! be compared with something, too.

use super::*;
use crate::controller::{AgentController, ControllerConfig, Wake, WakeSchedule};
use crate::coordinator::{AgentSession, MeshMetrics, PeerAgent};
use crate::messaging::{Message, MessageBroker, MessageHandler};
use crate::peers::{AgentState, PeerStats};
use futures_util::future::BoxFuture;
use meshwork_core::Tokens;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Semaphore, watch};
use tokio::time::advance;

const MINUTE: Duration = Duration::from_secs(60);

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// Costs 100 tokens, and counts its wakes.
#[derive(Default)]
struct Woken(AtomicU64);

impl Wake for Woken {
    fn wake<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Tokens, String>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(Tokens { input: 60, output: 40 }) })
    }
}

/// A mesh whose first peer works when the gate opens, whose second fails, and whose third spends 10 tokens a task and is
/// woken every minute.
struct Scene {
    mesh: MeshCoordinator,
    bus: Broker,
    controller: Arc<AgentController>,
    open: watch::Sender<bool>,
    woken: Arc<Woken>,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let (bus, _settled) = Broker::new(BrokerConfig::default(), Arc::new(MailInMemory::default()));
    let controller = Arc::new(AgentController::new(ControllerConfig::default()).unwrap());
    let deps = Dependencies::new(
        Arc::new(bus.clone()),
        controller.clone(),
        Arc::new(FolderArtifacts::open(folder.path().join("artifacts")).unwrap()),
        Arc::new(ForeignMemory::default()),
    );
    let (slow, open) = gated(&["slow"]);
    let failing = agent(&["bad"], |_| async { AttemptEnd::failed("no") });
    let spends = agent(&["dear"], |_| async {
        AttemptEnd { usage: Tokens { input: 7, output: 3 }, ..AttemptEnd::ok(Output::None) }
    });
    let woken = Arc::new(Woken::default());
    let dear = AgentDefinition { wake: Some(WakeSchedule::new(MINUTE, woken.clone())), ..spends };
    let settings = MeshCoordinatorConfig { max_concurrent_tasks_per_peer: 1, ..config(3) };
    let mesh = MeshCoordinator::with_agents(settings, deps, vec![slow, failing, dear]).unwrap();
    Scene { mesh, bus, controller, open, woken, _folder: folder }
}

/// Handles messages of that peer as they are let through.
fn gate(bus: &dyn MessageBroker, peer: &str) -> (Arc<Semaphore>, Arc<AtomicU64>) {
    let (open, handled) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU64::new(0)));
    let (gate, counts) = (open.clone(), handled.clone());
    let handler = MessageHandler::new(move |_| {
        let (gate, counts) = (gate.clone(), counts.clone());
        async move {
            gate.acquire().await.unwrap().forget();
            counts.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    });
    bus.on_peer_message(peer, handler).unwrap();
    (open, handled)
}

impl Scene {
    async fn submit(&self, id: &str, requires: &str, after: &[&str]) {
        let dependencies = after.iter().map(|&id| id.to_owned()).collect();
        soon(self.mesh.submit_task(MeshTask { dependencies, ..task(id, &[requires]) })).await.unwrap();
    }

    /// Three tasks are done and one failed; one runs, two wait for its peer, one for it. Then a minute's wake and, in a
    /// pause, five that do not happen.
    async fn work_and_rest(&self) {
        for (id, requires) in [("d1", "dear"), ("d2", "dear"), ("d3", "dear"), ("bad", "bad")] {
            self.submit(id, requires, &[]).await;
            soon(self.mesh.await_task(id)).await.unwrap();
        }
        for id in ["runs", "waits", "waits-too"] {
            self.submit(id, "slow", &[]).await;
        }
        self.submit("after", "dear", &["runs"]).await;
        self.mesh.update_token_usage("swarm-peer-1", Tokens { input: 4, output: 3 });
        advance(MINUTE).await;
        until(|| self.controller.savings("swarm-peer-3").wakes.count == 1).await;
        soon(self.mesh.pause_agent("swarm-peer-3", None)).await.unwrap();
        until(|| self.controller.is_paused("swarm-peer-3")).await;
        advance(5 * MINUTE).await;
        until(|| self.controller.savings("swarm-peer-3").wakes_avoided == 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_figure_of_a_mesh_is_what_was_counted_beside_it() {
    let scene = scene();
    let (mesh, before) = (&scene.mesh, std::time::Instant::now());
    soon(mesh.initialize()).await.unwrap();
    let (initialized, began) = (before.elapsed(), std::time::Instant::now());
    scene.work_and_rest().await;
    let bus: &dyn MessageBroker = &scene.bus;
    let (through, handled) = gate(bus, "listener");
    for n in 0..5 {
        bus.send_to_peer("swarm-peer-1", "listener", Message::new("note", json!(n), 1)).await.unwrap();
    }
    bus.send_to_peer("stranger", "listener", Message::new("note", json!(9), 1)).await.unwrap();
    through.add_permits(3);
    until(|| mesh.mesh_metrics().messages_received == 3).await;
    assert_eq!(handled.load(Ordering::Relaxed), 3);

    let least_uptime = began.elapsed().as_millis() as u64;
    let metrics = mesh.mesh_metrics();
    let most_uptime = before.elapsed().as_millis() as u64;
    let MeshMetrics {
        total_agents,
        active_agents,
        paused_agents,
        total_tasks,
        pending_tasks,
        running_tasks,
        completed_tasks,
        failed_tasks,
        total_tokens_used,
        uptime_ms,
        total_peers,
        active_peers,
        average_peer_load,
        discovery_time_ms,
        completion_detection_time_ms,
        messages_sent,
        messages_received,
        p95_peer_latency_ms: _, // `the_latency_of_messages_is_that_which_their_peers_saw`
        token_savings_percentage,
    } = metrics;
    assert_eq!((total_agents, active_agents, paused_agents), (3, 2, 1));
    assert_eq!((total_peers, active_peers), (3, mesh.active_peers().len() as u64));
    assert_eq!((total_tasks, pending_tasks, running_tasks), (8, 3, 1));
    assert_eq!((completed_tasks, failed_tasks), (3, 1));
    assert_eq!((messages_sent, messages_received), (5, 3), "those of its peers");
    let wakes = scene.woken.0.load(Ordering::Relaxed);
    assert_eq!((wakes, total_tokens_used), (1, 3 * 10 + 7 + 100));
    assert!((least_uptime..=most_uptime).contains(&uptime_ms), "{least_uptime} {uptime_ms} {most_uptime}");
    assert!(close(average_peer_load, 3.0 / 2.0), "one runs and two wait, at one of two: {average_peer_load}");
    assert!(discovery_time_ms > 0.0 && discovery_time_ms <= initialized.as_secs_f64() * 1_000.0);
    assert_eq!(completion_detection_time_ms, 0, "no round was completed");
    let (saved, spent) = (5.0 * 100.0, total_tokens_used as f64);
    assert!(close(token_savings_percentage, 100.0 * saved / (saved + spent)), "{token_savings_percentage}");

    // The rest is done.
    through.add_permits(9);
    soon(mesh.resume_agent("swarm-peer-3", None)).await.unwrap();
    scene.open.send_replace(true);
    assert!(soon(mesh.wait_for_mesh_completion()).await.unwrap());
    let done = mesh.mesh_metrics();
    assert_eq!((done.completed_tasks, done.failed_tasks, done.pending_tasks + done.running_tasks), (7, 1, 0));
    assert_eq!((done.messages_sent, done.messages_received, done.active_agents), (5, 5, 3));
    assert!(close(done.average_peer_load, 0.0));
    // It waits for the disk, which does not wait for the tests' own time.
    tokio::time::resume();
    soon(mesh.cleanup()).await.unwrap();
    assert_eq!(mesh.mesh_metrics(), MeshMetrics::default());
}

#[tokio::test(start_paused = true)]
async fn every_figure_of_a_peer_is_what_was_counted_beside_it() {
    let scene = scene();
    let mesh = &scene.mesh;
    soon(mesh.initialize()).await.unwrap();
    // A local peer was seen just now, by the real clock, whenever that is asked.
    let timeless = |peer: PeerAgent| PeerAgent { last_seen: 0, ..peer };
    let peers: Vec<PeerAgent> = mesh.active_peers().into_iter().map(timeless).collect();
    let one_by_one = ["swarm-peer-1", "swarm-peer-2", "swarm-peer-3"].map(|id| timeless(mesh.peer(id).unwrap()));
    assert_eq!(peers, one_by_one);
    assert_eq!(peers[0].metrics, PeerStats::default());
    scene.work_and_rest().await;
    // Assigned together, one runs after the other: each answered six minutes after it was assigned.
    scene.open.send_replace(true);
    soon(mesh.await_task("waits-too")).await.unwrap();
    let active: Vec<String> = mesh.active_peers().into_iter().map(|peer| peer.id).collect();
    assert_eq!(active, ["swarm-peer-1", "swarm-peer-2"]);

    let expected = [
        ("swarm-peer-1", 3, 0, 360_000.0, 7, AgentState::Idle, 0),
        ("swarm-peer-2", 0, 1, 0.0, 0, AgentState::Idle, 0),
        ("swarm-peer-3", 3, 0, 0.0, 30 + 100, AgentState::Paused, 0),
    ];
    for (name, done, failed, response, tokens, does, waits) in expected {
        let PeerAgent { id, session, capabilities, load, state, neighbors, last_seen, metrics } =
            mesh.peer(name).unwrap();
        let PeerStats { success_rate, average_response_time, tasks_completed, tasks_failed } = metrics;
        assert_eq!((tasks_completed, tasks_failed), (done, failed), "{name}");
        assert!(close(success_rate, done as f64 / (done + failed) as f64), "{name}: {success_rate}");
        assert!(close(average_response_time, response), "{name}: {average_response_time}");
        assert_eq!((id.as_str(), state, capabilities.len()), (name, does, 1));
        assert_eq!(load, waits, "{name}: a paused peer gets no work");
        let others: BTreeSet<String> =
            (1..=3).map(|n| format!("swarm-peer-{n}")).filter(|other| other != name).collect();
        assert_eq!(neighbors, others);
        let AgentSession { id: _, agent_id, kind, state, started_at, last_activity, tokens_used, checkpoint_id } =
            session;
        assert_eq!((agent_id.as_str(), kind.as_str(), state, tokens_used), (name, "function", does, tokens));
        assert!(started_at > 0 && last_activity >= started_at && last_seen > 0, "{name}");
        assert_eq!(checkpoint_id, None);
    }
}

#[tokio::test]
async fn the_latency_of_messages_is_that_which_their_peers_saw() {
    let scene = scene();
    soon(scene.mesh.initialize()).await.unwrap();
    let bus: &dyn MessageBroker = &scene.bus;
    let (through, handled) = gate(bus, "listener");
    let sent = std::time::Instant::now();
    for n in 0..80 {
        bus.send_to_peer("swarm-peer-1", "listener", Message::new("note", json!(n), 1)).await.unwrap();
    }
    let last_sent = std::time::Instant::now();
    until(|| last_sent.elapsed() > Duration::from_millis(20)).await;
    // All but the first wait for it, until now.
    let least = last_sent.elapsed();
    through.add_permits(80);
    until(|| handled.load(Ordering::Relaxed) == 80).await;
    let most = sent.elapsed();
    let p95 = scene.mesh.mesh_metrics().p95_peer_latency_ms;
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    assert!(p95 >= ms(least) && p95 <= 1.125 * ms(most), "{} to {}: {p95}", ms(least), ms(most));
}
