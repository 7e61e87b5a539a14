//! Moves tasks by rewriting `activeTasks` and `load` in the stored states of peers.
//!
//! Of a task a stored state says only who has it. So it is moved only to a peer that can do all that its own peer can;
//! and of a peer that is at work, or was paused in it, the first of its tasks is taken to have started and stays. Peers
//! have one slot each. Those that are dead or have left neither give nor take: what becomes of their tasks is for whoever
//! lost them to decide.
//!
//! A task is written to its new peer before it is taken from the old one, so a crash in between leaves it with two,
//! never with none; the next rebalance leaves it with the one that was written last.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use meshwork_core::balance::{Peer, plan};

use super::mover::{MoveError, Moved, Mover, Outlook};
use crate::clock::now_ms;
use crate::peers::AgentState;
use crate::peers::artifact::{PeerStateError, PeerStates, StoredPeer};

pub(super) struct StoredTasks(pub(super) PeerStates);

type Peers = BTreeMap<String, StoredPeer>;

/// Who has a task, and who is to have it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Course {
    owner: String,
    holder: String,
}

/// Of each task, its course.
#[derive(Debug, Default)]
pub(super) struct Intent(BTreeMap<String, Course>);

/// Of each task that several have, the one that was written last; of equals, the first.
fn owners(peers: &Peers) -> BTreeMap<&str, &str> {
    let mut owners: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for (id, peer) in peers {
        let written = peer.state.last_updated;
        for task in &peer.state.active_tasks {
            let owner = owners.entry(task).or_insert((written, id));
            if written > owner.0 {
                *owner = (written, id);
            }
        }
    }
    owners.into_iter().map(|(task, (_, id))| (task, id)).collect()
}

fn capabilities(peer: &StoredPeer) -> BTreeSet<&str> {
    peer.state.capabilities.iter().map(String::as_str).collect()
}

impl Intent {
    pub(super) fn of(peers: &Peers) -> Self {
        let owners = owners(peers);
        let classes: BTreeSet<BTreeSet<&str>> = peers.values().map(capabilities).collect();
        let classes: Vec<BTreeSet<&str>> = classes.into_iter().collect();
        let takes = |from: u32, to: u32| classes[to as usize].is_superset(&classes[from as usize]);
        let ids: Vec<&str> = peers.keys().map(String::as_str).collect();
        let mut rows: Vec<Peer<&str>> = peers.iter().map(|(id, peer)| row(id, peer, &owners, &classes)).collect();
        let mut holders = owners.clone();
        // A plan moves a task once; what that makes possible is the next one's. Each makes Σ L² smaller.
        loop {
            let moves = plan(&rows, usize::MAX, takes);
            if moves.is_empty() {
                break;
            }
            for one in moves {
                rows[one.from].movable.retain(|task| *task != one.task);
                rows[one.from].load -= 1;
                rows[one.to].movable.push(one.task);
                rows[one.to].load += 1;
                holders.insert(one.task, ids[one.to]);
            }
        }
        let course = |(task, owner): (&&str, &&str)| {
            (task.to_string(), Course { owner: owner.to_string(), holder: holders[task].to_owned() })
        };
        Self(owners.iter().map(course).collect())
    }

    pub(super) fn tasks(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether anything is to be written: a task is to move, or is listed more than once.
    pub(super) fn changes(&self, peers: &Peers) -> bool {
        let listed: usize = peers.values().map(|peer| peer.state.active_tasks.len()).sum();
        listed > self.0.len() || self.0.values().any(|course| course.owner != course.holder)
    }

    /// Tasks that this peer is to have and does not list.
    fn gets(&self, id: &str, peer: &StoredPeer) -> Vec<String> {
        let listed: BTreeSet<&String> = peer.state.active_tasks.iter().collect();
        let new = self.0.iter().filter(|(task, course)| course.holder == id && !listed.contains(task));
        new.map(|(task, _)| task.clone()).collect()
    }
}

/// A peer as a plan sees it.
fn row<'a>(id: &str, peer: &'a StoredPeer, owners: &BTreeMap<&str, &str>, classes: &[BTreeSet<&str>]) -> Peer<&'a str> {
    let state = peer.state.state;
    // Every class was taken from a peer.
    let class = classes.binary_search(&capabilities(peer)).unwrap_or_default() as u32;
    let mut seen = BTreeSet::new();
    let listed = peer.state.active_tasks.iter().map(String::as_str);
    let tasks: Vec<&str> = listed.filter(|task| owners.get(task) == Some(&id) && seen.insert(*task)).collect();
    let load = tasks.len() as u64;
    let started = usize::from(!matches!(state, AgentState::Idle | AgentState::Completed));
    let movable = if state.is_gone() { Vec::new() } else { tasks.into_iter().skip(started).collect() };
    Peer { slots: 1, load, class, open: !state.is_gone() && state != AgentState::Paused, movable }
}

fn load(tasks: usize) -> f64 {
    tasks as f64
}

impl StoredTasks {
    async fn peers(&self, swarm: &str) -> Result<Peers, MoveError> {
        let found = self.0.all(swarm).await?;
        for (key, why) in found.unreadable {
            tracing::warn!(key, why, "a stored state of a peer was not understood, and left alone");
        }
        Ok(found.peers)
    }

    /// Changes the tasks of one peer, and its load with them. Says whether it is still there.
    async fn change(
        &self,
        swarm: &str,
        peer: &str,
        moved: &mut Moved,
        what: impl FnOnce(&mut Vec<String>),
    ) -> Result<bool, PeerStateError> {
        let mut has = None;
        let change = |stored: Option<StoredPeer>| {
            let mut stored = stored?;
            let state = &mut stored.state;
            what(&mut state.active_tasks);
            state.load = load(state.active_tasks.len());
            state.last_updated = now_ms().max(state.last_updated.saturating_add(1));
            has = Some(state.load);
            Some(stored)
        };
        self.0.change(swarm, peer, change).await?;
        moved.loads.extend(has.map(|load| (peer.to_owned(), load)));
        Ok(has.is_some())
    }

    pub(super) async fn carry_out(
        &self,
        swarm: &str,
        peers: &Peers,
        intent: &Intent,
        moved: &mut Moved,
    ) -> Result<(), PeerStateError> {
        // New peers first: a task may have two for a moment, never none.
        let mut arrived = BTreeSet::new();
        let mut missed = BTreeSet::new();
        for (id, peer) in peers {
            let gets = intent.gets(id, peer);
            if gets.is_empty() {
                continue;
            }
            let new = gets.iter().cloned().collect::<BTreeSet<_>>();
            let add = |tasks: &mut Vec<String>| {
                let there: BTreeSet<String> = tasks.iter().cloned().collect();
                tasks.extend(gets.into_iter().filter(|task| !there.contains(task)));
            };
            let there = self.change(swarm, id, moved, add).await?;
            if there { &mut arrived } else { &mut missed }.extend(new);
        }
        let mut done_meanwhile: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (id, peer) in peers {
            let listed = &peer.state.active_tasks;
            let leaves = |task: &String| {
                // One whose new peer has gone meanwhile stays.
                intent.0.get(task).is_some_and(|course| course.holder != *id) && !missed.contains(task)
            };
            let leaving: BTreeSet<&String> = listed.iter().filter(|task| leaves(task)).collect();
            let distinct: BTreeSet<&String> = listed.iter().collect();
            if leaving.is_empty() && distinct.len() == listed.len() {
                continue;
            }
            let mut left = BTreeSet::new();
            let remove = |tasks: &mut Vec<String>| {
                let mut seen = BTreeSet::new();
                tasks.retain(|task| {
                    let leaves = leaving.contains(task);
                    if leaves {
                        left.insert(task.clone());
                    }
                    !leaves && seen.insert(task.clone())
                });
            };
            self.change(swarm, id, moved, remove).await?;
            for task in leaving {
                let course = &intent.0[task];
                if course.owner != *id {
                    continue;
                }
                if left.contains(task) {
                    moved.tasks += 1;
                } else if arrived.contains(task) {
                    done_meanwhile.entry(&course.holder).or_default().insert(task);
                }
            }
        }
        // What its peer had no longer was done or taken meanwhile: nobody is to do it again.
        for (id, tasks) in done_meanwhile {
            self.change(swarm, id, moved, |has| has.retain(|task| !tasks.contains(task.as_str()))).await?;
        }
        Ok(())
    }
}

impl Mover for StoredTasks {
    fn swarms(&self) -> BoxFuture<'_, Result<Vec<String>, MoveError>> {
        async { Ok(self.0.swarms().await?.into_iter().collect()) }.boxed()
    }

    fn look<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Outlook, MoveError>> {
        async move {
            let peers = self.peers(swarm_id).await?;
            let intent = Intent::of(&peers);
            let present = peers.iter().filter(|(_, peer)| !peer.state.state.is_gone());
            let loads = present.map(|(id, peer)| (id.clone(), load(peer.state.active_tasks.len()))).collect();
            Ok(Outlook { tasks: intent.tasks(), has_move: intent.changes(&peers), loads })
        }
        .boxed()
    }

    fn rebalance<'a>(&'a self, swarm_id: &'a str) -> BoxFuture<'a, Result<Moved, MoveError>> {
        async move {
            let peers = self.peers(swarm_id).await?;
            let intent = Intent::of(&peers);
            let mut moved = Moved::default();
            if intent.changes(&peers) {
                let carried = self.carry_out(swarm_id, &peers, &intent, &mut moved).await;
                carried.map_err(|source| MoveError::Partly { moved: moved.tasks, source })?;
            }
            Ok(moved)
        }
        .boxed()
    }
}
