//! Who stands where, how a submission is handed out, and whom a queen calls.

use super::mesh::{Mesh, peer, task};
use crate::topology::{Choice, Delegation, Queen, Requested, Scaling, Staffing, Topology};
use crate::{Config, DownReason, Op, PauseReason, PeerNo, PeerSpec, Swarm};
use std::collections::BTreeMap;
use std::num::NonZeroU32;

fn config(topology: Topology, branching: u32) -> Config {
    let topology = Choice {
        requested: Requested::Explicit(topology),
        branching: NonZeroU32::new(branching).unwrap(),
        ..Choice::default()
    };
    Config { topology, ..Config::default() }
}

fn tree(peers: usize, branching: u32) -> Mesh {
    let mut mesh = Mesh::with(config(Topology::Hierarchical, branching));
    for number in 0..peers {
        mesh.peer(&format!("p{number}"), &[], 1);
    }
    mesh
}

fn neighbors(swarm: &Swarm, peer: &str) -> Vec<String> {
    let no = swarm.find_peer(peer).unwrap();
    swarm.shape().neighbors(no).into_iter().map(|no| swarm.peer(no).unwrap().id.to_string()).collect()
}

#[test]
fn the_shape_follows_joins_losses_and_settings() {
    let mut mesh = tree(4, 2);
    assert_eq!(neighbors(&mesh.swarm, "p0"), ["p1", "p2"]);
    assert_eq!(neighbors(&mesh.swarm, "p1"), ["p0", "p3"]);
    // The last place follows a queen that is gone.
    mesh.does(Op::PeerDown { peer: "p0".to_owned(), why: DownReason::Died });
    assert_eq!(neighbors(&mesh.swarm, "p3"), ["p1", "p2"]);
    // A snapshot carries what does not follow from who is there.
    let restored = Swarm::restore(&mesh.swarm.snapshot().unwrap()).unwrap();
    assert_eq!(restored.shape(), mesh.swarm.shape());
    // Another branching begins anew, by number; settings of other kinds change nothing.
    let before = mesh.swarm.shape().clone();
    mesh.does(Op::Configure { config: Config { ageing: 7, ..config(Topology::Hierarchical, 2) } });
    assert_eq!(*mesh.swarm.shape(), before);
    mesh.does(Op::Configure { config: config(Topology::Hierarchical, 1) });
    assert_eq!(neighbors(&mesh.swarm, "p2"), ["p1", "p3"]);
    mesh.does(Op::Configure { config: config(Topology::Mesh, 1) });
    assert_eq!(neighbors(&mesh.swarm, "p2"), ["p1", "p3"]);
    assert_eq!(mesh.swarm.shape().queen(), None);
    // Whoever is lost with a node stands nowhere.
    mesh.join("m").loses("n");
    assert!(mesh.swarm.shape().is_empty());
}

#[test]
fn a_submission_is_handed_out_as_if_each_task_had_come_by_itself() {
    let mesh = tree(13, 3);
    let mut delegation = Delegation::of(&mesh.swarm).unwrap();
    let mut had: BTreeMap<PeerNo, u32> = BTreeMap::new();
    for _ in 0..120 {
        *had.entry(delegation.hand_out(None, &[]).unwrap()).or_default() += 1;
    }
    // The queen takes none while others can, and nobody has two more than another.
    assert_eq!(had.len(), 12, "{had:?}");
    assert_eq!((had.values().min(), had.values().max()), (Some(&10), Some(&10)), "{had:?}");
    assert_eq!(delegation.hand_out(None, &["unknown".to_owned()]), None);
    let mut mesh = Mesh::with(config(Topology::Mesh, 7));
    mesh.peer("p", &[], 1);
    assert!(Delegation::of(&mesh.swarm).is_none(), "in a mesh nobody hands out");
}

#[test]
fn what_comes_about_below_stays_there_while_there_is_room() {
    let mesh = tree(7, 2);
    let mut delegation = Delegation::of(&mesh.swarm).unwrap();
    let from = mesh.swarm.find_peer("p1");
    let below = ["p1", "p3", "p4"].map(|id| mesh.swarm.find_peer(id).unwrap());
    let stayed: Vec<_> = (0..3).map(|_| delegation.hand_out(from, &[]).unwrap()).collect();
    assert!(stayed.iter().all(|peer| below.contains(peer)), "{stayed:?}");
    assert!(!below.contains(&delegation.hand_out(from, &[]).unwrap()), "then it goes up");
}

fn queen(min: u32, max: u32, reserve: Vec<PeerSpec>) -> Queen {
    let scaling = Scaling { min_workers: min, max_workers: max, auto: true, threshold_permille: 800 };
    Queen::new(scaling, reserve, 1_000)
}

fn calls(staffing: &Staffing) -> Vec<&str> {
    assert!(staffing.dismiss.is_empty(), "{staffing:?}");
    staffing.call.iter().map(String::as_str).collect()
}

#[test]
fn a_queen_calls_workers_by_the_load_and_lets_them_go_after_a_while() {
    let reserve: Vec<_> = (1..6).map(|number| peer(&format!("p{number}"), &[], 1)).collect();
    let mut queen = queen(1, 4, reserve);
    let mut mesh = tree(1, 7);
    assert_eq!(calls(&queen.look(&mesh.swarm, 0)), ["p1"], "the least");
    mesh.peer("p1", &[], 1);
    assert_eq!(queen.look(&mesh.swarm, 0), Staffing::default());
    mesh.submit((0..9).map(|number| task(&format!("t{number}"))).collect::<Vec<_>>());
    assert_eq!(calls(&queen.look(&mesh.swarm, 0)), ["p2", "p3", "p4"], "no more than the most");
    mesh.peer("p2", &[], 1).peer("p3", &[], 1).peer("p4", &[], 1);
    assert_eq!(queen.look(&mesh.swarm, 0), Staffing::default());
    let running = |mesh: &Mesh| {
        let mut tasks = mesh.swarm.tasks();
        tasks.find(|(_, task)| task.phase.holds_slot()).map(|(_, task)| task.id.to_string())
    };
    while let Some(id) = running(&mesh) {
        mesh.ok(&id);
    }
    assert_eq!(queen.look(&mesh.swarm, 5_000), Staffing { again_ms: Some(6_000), ..Staffing::default() });
    assert_eq!(queen.look(&mesh.swarm, 5_999), Staffing { again_ms: Some(6_000), ..Staffing::default() });
    let gone = queen.look(&mesh.swarm, 6_000);
    let gone: Vec<_> = gone.dismiss.iter().map(|no| &*mesh.swarm.peer(*no).unwrap().id).collect();
    assert_eq!(gone, ["p4", "p3", "p2"], "those that came last, down to the least");
}

#[test]
fn a_task_that_nobody_there_can_do_calls_who_can() {
    let reserve = vec![peer("p1", &["a"], 1), peer("p2", &["b"], 1), peer("p3", &["a", "b"], 1)];
    let mut queen = queen(1, 1, reserve);
    let mut mesh = tree(1, 7);
    mesh.peer("p1", &["a"], 1).submit([task("ab").needs(&["a", "b"]), task("b").needs(&["b"])]);
    assert!(queen.could_help(&mesh.swarm));
    // There is room for one worker only: who has nothing to do goes first.
    let first = queen.look(&mesh.swarm, 0);
    assert_eq!((first.call.len(), first.dismiss.len()), (0, 1), "{first:?}");
    mesh.does(Op::PeerDown { peer: "p1".to_owned(), why: DownReason::Dismissed });
    assert_eq!(calls(&queen.look(&mesh.swarm, 0)), ["p3"], "one who can do both");
    mesh.peer("p3", &["a", "b"], 1).shows("ab", "running p3").shows("b", "assigned p3");
    assert!(!queen.could_help(&mesh.swarm));
    assert_eq!(queen.look(&mesh.swarm, 0), Staffing::default());
}

#[test]
fn a_queen_sends_nobody_away_who_holds_something_or_whom_a_person_paused() {
    let mut queen = queen(1, 3, vec![peer("p1", &["a"], 1), peer("p2", &[], 1), peer("p3", &["c"], 1)]);
    let mut mesh = tree(1, 7);
    mesh.peer("p1", &["a"], 1).peer("p2", &[], 1).pause("p2", PauseReason::User);
    mesh.submit([task("t").needs(&["a"])]).shows("t", "running p1");
    assert!(queen.look(&mesh.swarm, 0).dismiss.is_empty());
    assert!(queen.look(&mesh.swarm, 9_000).dismiss.is_empty());
    // Nobody in reserve can do this: it stands still, and says so.
    mesh.submit([task("z").needs(&["z"])]);
    assert!(!queen.could_help(&mesh.swarm));
    // Somebody can do this one, until it turns out that he cannot come.
    mesh.submit([task("c").needs(&["c"])]);
    assert!(queen.could_help(&mesh.swarm));
    queen.give_up_on("p3");
    assert!(!queen.could_help(&mesh.swarm));
}
