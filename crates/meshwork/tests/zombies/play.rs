//! Two nodes in processes of their own, an operator who stops them, gives up on them and lets them go on.

use crate::node::{self, BODIES, Bodies, FOLDER, NODE, NONCE, effects, gate, peer_of};
use crate::shared_log::SharedLog;
use futures_util::StreamExt;
use meshwork::log::Log;
use meshwork::mesh::{Mesh, MeshError, RoundEnd, Stop};
use meshwork_core::{Phase, Position, Refusal, Swarm, TaskNo};
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, interval, timeout};

/// Far beyond what anything here takes: only a failure waits so long.
const DEADLINE: Duration = Duration::from_secs(60);
/// The nodes that are stopped.
pub(crate) const NODES: [&str; 2] = ["a", "b"];

/// Splitmix64: the same play everywhere, as far as processes let themselves be directed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A node's process, and the pipe that its bodies wait for.
struct NodeProcess {
    child: Child,
    gate: File,
}

impl NodeProcess {
    fn start(folder: &Path, name: &str, bodies: Bodies) -> Self {
        let path = gate(folder, &peer_of(name));
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        // Open for both, so that neither side ever waits for the other to open it.
        let mut options = File::options();
        let gate = options.read(true).write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_process_that_was_started_as_a_node_is_one", "--nocapture"]);
        command.env(FOLDER, folder).env(NODE, name).env(BODIES, bodies.word());
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, gate }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn let_one_through(&mut self) {
        self.gate.write_all(b"\n").unwrap();
    }

    /// What nobody came for must not let the next one through.
    fn shut(&mut self) {
        let mut rest = [0; 64];
        while self.gate.read(&mut rest).is_ok_and(|read| read > 0) {}
    }

    /// Every thread of it stands: waits until the kernel says so.
    async fn stop(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
        until("the process stands", || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
        })
        .await;
    }

    fn go_on(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }
}

impl Drop for NodeProcess {
    /// Whatever failed, no process is left standing.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // SIGKILL ends a process that stands, too.
            let _already_gone = self.child.kill();
            let _already_waited_for = self.child.wait();
        }
    }
}

/// Waits for what no channel tells of.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    let mut look = interval(Duration::from_millis(1));
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        look.tick().await;
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it takes far too long")
}

/// How a round goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Its body runs when the node is stopped, and ends while it stands.
    BodyEnds,
    /// Its body runs when the node is stopped, and still does when it goes on.
    BodyGoesOn,
    /// After so many microseconds, whatever is the case then.
    Any(u64),
}

/// The play.
pub(crate) struct Play {
    folder: TempDir,
    operator: Mesh,
    ended: tokio::task::JoinHandle<Result<(), MeshError>>,
    nodes: [NodeProcess; 2],
    bodies: Bodies,
    dice: Dice,
    /// Rounds in which a node was given up on while it held the task.
    pub(crate) zombies: u32,
}

impl Play {
    pub(crate) async fn begin(bodies: Bodies, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("log")).unwrap();
        std::fs::write(effects(folder.path()), "").unwrap();
        let (operator, ended) = node::start(folder.path(), "operator", Vec::new()).await;
        let nodes = NODES.map(|name| NodeProcess::start(folder.path(), name, bodies));
        let play = Self { folder, operator, ended, nodes, bodies, dice: Dice(seed), zombies: 0 };
        for name in NODES {
            play.until(|swarm| peer_is_up(swarm, name)).await;
        }
        play
    }

    /// Waits until the swarm, as the operator has read it, says so.
    async fn until(&self, holds: impl Fn(&Swarm) -> bool + Clone + Send + 'static) {
        let mut status = self.operator.status();
        loop {
            status.borrow_and_update();
            let asked = holds.clone();
            if self.operator.look(move |swarm| asked(swarm)).await.unwrap() {
                return;
            }
            soon(status.changed()).await.unwrap();
        }
    }

    fn effects(&self) -> String {
        std::fs::read_to_string(effects(self.folder.path())).unwrap()
    }

    async fn until_said(&self, word: &str, id: &str, peer: &str) {
        let line = format!("{word} {id} {peer} ");
        until(&line, || self.effects().lines().any(|said| said.starts_with(&line))).await;
    }

    /// One task, one node that is stopped, given up on, and goes on.
    pub(crate) async fn round(&mut self, number: u64) {
        self.nodes.iter_mut().for_each(NodeProcess::shut);
        let id = format!("task-{number}");
        let task = self.operator.submit(vec![node::task(&id)]).await.unwrap()[0];
        let moment = match self.dice.below(4) {
            0 | 1 if self.bodies == Bodies::Shells => Moment::BodyEnds,
            0..3 => Moment::BodyGoesOn,
            _ => Moment::Any(self.dice.below(12_000)),
        };
        let victim = self.stop_one(moment, task, &id).await;
        let (name, other) = (NODES[victim], NODES[1 - victim]);
        let lost = self.give_up_on(name).await;
        let held = self.operator.look(move |swarm| holder(swarm, task) != Some(lost.0)).await.unwrap();
        assert!(held, "a node that is given up on holds nothing");
        let first = self.dice.below(2) == 0;
        if first {
            // Its result comes while the other's attempt runs.
            self.nodes[victim].go_on();
        }
        self.nodes[1 - victim].let_one_through();
        self.nodes[victim].let_one_through();
        self.until(move |swarm| swarm.task(task).is_some_and(|task| task.phase.is_closed())).await;
        self.nodes[victim].go_on();
        // It joins anew when its bodies are gone and what they said is handed in.
        self.until(move |swarm| swarm.last_incarnation(name) > lost.0 && peer_is_up(swarm, name)).await;
        let end = soon(self.operator.complete()).await.unwrap();
        assert!(matches!(end, RoundEnd::Closed(round) if (round.ok, round.failed) == (1, 0)), "{moment:?}: {end:?}");
        if moment == Moment::BodyEnds {
            self.check_rejected(task, &id, other).await;
        }
        self.zombies += u32::from(lost.1);
    }

    /// Stops the node that runs the task, or at any moment one of both.
    async fn stop_one(&mut self, moment: Moment, task: TaskNo, id: &str) -> usize {
        if let Moment::Any(micros) = moment {
            self.nodes.iter_mut().for_each(NodeProcess::let_one_through);
            let victim = usize::from(self.dice.below(2) == 1);
            let over = Instant::now() + Duration::from_micros(micros);
            until("the moment has come", || Instant::now() >= over).await;
            self.nodes[victim].stop().await;
            return victim;
        }
        self.until(move |swarm| holder(swarm, task).is_some()).await;
        let victim = self
            .operator
            .look(move |swarm| {
                let at = holder(swarm, task).unwrap();
                NODES.iter().position(|name| swarm.last_incarnation(name) == at).unwrap()
            })
            .await
            .unwrap();
        let peer = peer_of(NODES[victim]);
        self.until_said("begin", id, &peer).await;
        self.nodes[victim].stop().await;
        if moment == Moment::BodyEnds {
            self.nodes[victim].let_one_through();
            self.until_said("end", id, &peer).await;
        }
        victim
    }

    /// The incarnation that was given up on, and whether it held a task. What it had appended before it was stopped may
    /// still be on its way to us.
    async fn give_up_on(&self, name: &'static str) -> (Position, bool) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let look = self.operator.look(move |swarm| {
                let incarnation = swarm.last_incarnation(name);
                (incarnation, swarm.tasks().any(|(no, _)| holder(swarm, no) == Some(incarnation)))
            });
            let before = look.await.unwrap();
            match self.operator.give_up_on(name).await {
                Ok(_) => return before,
                Err(MeshError::Refused(Refusal::HeardSince { .. })) => assert!(Instant::now() < deadline),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The result of the former holder was refused and kept, the successor's stands.
    async fn check_rejected(&self, task: TaskNo, id: &str, successor: &str) {
        let kept = self.operator.look(move |swarm| swarm.rejected(task).count()).await.unwrap();
        assert_eq!(kept, 1, "the result of {id}'s former holder is kept");
        let returned = soon(self.operator.result(task)).await.unwrap().unwrap();
        let expected = meshwork_core::Payload::Json(format!("{:?}", peer_of(successor)));
        assert_eq!(returned.result, Some(expected), "the successor's result stands");
    }

    /// Nodes leave; nothing of them is left. Everything that was appended, and what bodies left.
    pub(crate) async fn end(mut self) -> (Vec<bytes::Bytes>, String, TempDir) {
        for node in &mut self.nodes {
            drop(node.child.stdin.take());
            let child = &mut node.child;
            until("a node has left", || child.try_wait().unwrap().is_some_and(|status| status.success())).await;
        }
        self.operator.stop(Stop::Gently);
        soon(self.ended).await.unwrap().unwrap();
        let log = SharedLog::open(&self.folder.path().join("log"));
        let last = log.last().await.unwrap();
        let batches: Vec<_> =
            log.tail(1).take(usize::try_from(last).unwrap()).map(|stored| stored.unwrap().bytes).collect().await;
        let effects = std::fs::read_to_string(effects(self.folder.path())).unwrap();
        (batches, effects, self.folder)
    }
}

/// The incarnation of the node whose peer holds the task.
fn holder(swarm: &Swarm, task: TaskNo) -> Option<Position> {
    let phase = swarm.task(task)?.phase;
    let (peer, _) = phase.grant().filter(|_| !matches!(phase, Phase::Closed { .. }))?;
    Some(swarm.node(swarm.peer(peer)?.node)?.incarnation)
}

fn peer_is_up(swarm: &Swarm, node: &str) -> bool {
    let peer = swarm.find_peer(&peer_of(node)).and_then(|no| swarm.peer(no));
    peer.is_some_and(|peer| {
        peer.up && swarm.node(peer.node).is_some_and(|at| at.incarnation == swarm.last_incarnation(node))
    })
}

/// Whether a process of a body is there: another program may have got its number.
pub(crate) fn is_left(pid: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mark = format!("MESHWORK_NONCE={NONCE}:");
    environment.windows(mark.len()).any(|part| part == mark.as_bytes())
}
