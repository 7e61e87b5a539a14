//! Assignment and balance (architecture.md): who runs what, and in which order.

use super::mesh::{Mesh, peer, returned, task};
use crate::topology::Strategy;
use crate::{AttemptOutcome, Config, Effect, Op, PauseReason, PeerSpec, Returned, Tokens};

#[test]
fn higher_priority_first_then_first_come() {
    let mut mesh = Mesh::new();
    mesh.submit([task("low").priority(1), task("first"), task("second"), task("high").priority(10)]);
    mesh.peer("p", &[], 1).shows("high", "running p").ok("high").shows("first", "running p");
    mesh.ok("first").shows("second", "running p").ok("second").shows("low", "running p");
}

#[test]
fn what_waits_long_enough_passes_a_higher_priority() {
    let mut mesh = Mesh::with(Config { ageing: 1, ..Config::default() });
    mesh.peer("p", &[], 1).submit([task("running"), task("old").priority(1)]);
    mesh.submit(["a", "b", "c"].map(|id| task(id).priority(3))).ok("running");
    mesh.shows("a", "running p").ok("a").shows("old", "running p");
}

#[test]
fn what_fewer_peers_can_do_comes_first() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &["rare"], 1).peer("q", &[], 1).submit([task("x"), task("y")]);
    mesh.submit([task("common"), task("scarce").needs(&["rare"])]);
    mesh.ok("x").shows("scarce", "running p").shows("common", "assigned q");
}

#[test]
fn the_longest_remaining_path_comes_first() {
    let mut mesh = Mesh::new();
    mesh.submit([task("short"), task("long"), task("next").after(&["long"])]);
    mesh.peer("p", &[], 1).shows("long", "running p");
}

#[test]
fn learned_durations_make_a_path_long() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").kind("slow")]);
    mesh.ok("a").submit([task("running")]).submit([task("quick").kind("quick"), task("slow").kind("slow")]);
    mesh.ok("running").shows("slow", "running p");
}

#[test]
fn the_peer_with_the_least_relative_load_is_assigned() {
    let mut mesh = Mesh::new();
    mesh.peer("small", &[], 1).peer("large", &[], 4);
    mesh.submit(["a", "b", "c", "d", "e"].map(task));
    mesh.submit(["f", "g", "h", "i", "j"].map(task));
    let loads = ["small", "large"].map(|id| mesh.swarm.peer(mesh.swarm.find_peer(id).unwrap()).unwrap().load());
    assert_eq!(loads, [2, 8]);
}

#[test]
fn what_a_task_releases_spreads_over_all_who_have_room() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 3).submit([task("first")]).peer("q", &[], 3).peer("r", &[], 3);
    mesh.submit(["a", "b", "c"].map(|id| task(id).after(&["first"]))).ok("first");
    mesh.shows("a", "running q").shows("b", "running r").shows("c", "running p");
}

#[test]
fn a_slot_that_is_released_takes_what_waited_before_what_is_ready_now() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("first"), task("waits"), task("next").after(&["first"])]).ok("first");
    mesh.shows("waits", "running p").shows("next", "assigned p");
}

#[test]
fn a_task_goes_to_the_peer_that_it_prefers_while_that_can_take_it() {
    let mut mesh = Mesh::with(Config { backlog: 1, ..Config::default() });
    mesh.peer("p", &["x"], 2).peer("q", &["x"], 2).peer("other", &[], 2);
    let wish = |id: &str, peer: &str| task(id).needs(&["x"]).prefers(peer);
    mesh.submit([wish("a", "q")]).shows("a", "running q");
    mesh.submit([wish("incapable", "other"), wish("unknown", "nobody")]);
    mesh.shows("incapable", "running p").shows("unknown", "running p");
    mesh.submit([wish("b", "q")]).shows("b", "running q");
    mesh.submit([wish("waits", "q"), wish("full", "q")]).shows("waits", "assigned q").shows("full", "assigned p");
}

#[test]
fn a_peer_that_a_person_paused_is_no_preference_and_an_idle_one_is() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).peer("q", &[], 1).peer("r", &[], 1);
    mesh.does(Op::Pause { peer: "q".to_owned(), reason: PauseReason::User });
    mesh.does(Op::Pause { peer: "r".to_owned(), reason: PauseReason::Idle });
    mesh.submit([task("a").prefers("q"), task("b").prefers("r")]).shows("a", "running p").shows("b", "running r");
}

#[test]
fn a_free_slot_takes_what_waits_elsewhere() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b")]).shows("b", "assigned p");
    mesh.peer("q", &[], 1).shows("b", "running q");
}

#[test]
fn its_own_task_first_among_equals() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).peer("q", &[], 1).submit(["a", "b", "c", "d"].map(task));
    mesh.shows("c", "assigned p").shows("d", "assigned q").ok("b").shows("d", "running q");
}

#[test]
fn a_peer_that_failed_a_task_is_avoided_while_another_is_eligible() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(9)]).fails("a").time_passes().shows("a", "running p");
    mesh.fails("a").peer("q", &[], 1).time_passes().shows("a", "running q");
    mesh.pause("q", PauseReason::User).submit([task("busy")]).shows("busy", "running p");
    mesh.returns("a", AttemptOutcome::Interrupted).shows("a", "assigned p");
    mesh.resume("q").shows("a", "running q");
}

#[test]
fn a_peer_holds_its_slots_and_a_bounded_backlog() {
    let mut mesh = Mesh::with(Config { backlog: 1, ..Config::default() });
    mesh.peer("p", &[], 1).submit(["a", "b", "c"].map(task));
    mesh.shows("a", "running p").shows("b", "assigned p").shows("c", "ready");
    mesh.ok("a").shows("b", "running p").shows("c", "assigned p");
}

#[test]
fn a_pause_hands_on_what_waits_and_stops_nothing_that_runs() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a"), task("b")]).pause("p", PauseReason::User);
    mesh.shows("a", "running p").shows("b", "ready").ok("a").shows("b", "ready").resume("p").shows("b", "running p");
}

#[test]
fn work_ends_an_idle_pause_in_the_same_apply() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).pause("p", PauseReason::Idle).submit([task("a")]).shows("a", "running p");
    assert!(mesh.effects.iter().any(|effect| matches!(effect, Effect::Resumed { .. })));
    let idle = Op::Pause { peer: "p".to_owned(), reason: PauseReason::Idle };
    assert!(matches!(mesh.refuses(idle), crate::Refusal::NotIdle { load: 1, .. }));
}

#[test]
fn the_end_of_a_wait_ends_an_idle_pause_too() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &["a"], 1).peer("q", &["b"], 1).submit([task("a").needs(&["a"])]);
    mesh.spawn("a", [task("b").needs(&["b"])]).waits("a", &[]).pause("p", PauseReason::Idle).ok("b");
    mesh.shows("a", "running p");
    assert_eq!(mesh.swarm.peer(mesh.swarm.find_peer("p").unwrap()).unwrap().paused, None);
}

#[test]
fn an_idle_pause_lifts_no_stronger_one() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).pause("p", PauseReason::User).pause("p", PauseReason::Idle).submit([task("a")]);
    mesh.shows("a", "ready");
}

#[test]
fn a_rate_limit_fails_no_task() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]).returns("a", AttemptOutcome::Interrupted);
    mesh.pause("p", PauseReason::RateLimit).returns("a", AttemptOutcome::Interrupted).shows("a", "ready");
    mesh.resume("p").shows("a", "running p");
    assert_eq!((mesh.task("a").attempt, mesh.task("a").failures), (1, 0));
}

#[test]
fn no_grant_takes_a_node_over_its_sessions() {
    let mut mesh = Mesh::new();
    for id in ["p", "q"] {
        mesh.does(Op::PeerUp(PeerSpec { uses_session: true, ..peer(id, &[], 2) }));
    }
    mesh.submit([task("a"), task("b")]).shows("a", "running p").shows("b", "assigned p");
    mesh.ok("a");
    assert!(mesh.is("b").starts_with("running"), "{}", mesh.is("b"));
}

#[test]
fn a_peer_without_a_session_takes_nothing_away_from_one_that_needs_none() {
    let mut mesh = Mesh::new();
    mesh.does(Op::PeerUp(PeerSpec { uses_session: true, ..peer("p", &[], 4) })).submit([task("a")]);
    mesh.peer("q", &[], 2).submit([task("b"), task("c")]).shows("b", "running q").shows("c", "running q");
}

#[test]
fn a_spent_budget_pauses_everything_in_the_same_apply() {
    let mut mesh = Mesh::with(Config { token_budget: Some(100), ..Config::default() });
    mesh.peer("p", &[], 1).submit([task("a"), task("b"), task("c")]);
    spends(&mut mesh, "a", 60);
    // The second attempt's mean of 60 tokens does not fit into the 40 that are left.
    mesh.shows("b", "ready");
    let paused = mesh.swarm.peer(mesh.swarm.find_peer("p").unwrap()).unwrap().paused;
    assert_eq!(paused, Some(PauseReason::Budget));
    assert!(mesh.swarm.is_stalled());
    mesh.does(Op::Configure { config: Config { token_budget: Some(500), ..Config::default() } });
    mesh.resume("p").shows("b", "running p");
}

#[test]
fn a_budget_is_reserved_in_the_grant_and_settled_by_the_return() {
    let mut mesh = Mesh::with(Config { token_budget: Some(200), ..Config::default() });
    mesh.peer("p", &[], 3).submit([task("a")]);
    spends(&mut mesh, "a", 60);
    mesh.submit(["b", "c", "d"].map(task)).shows("b", "running p").shows("c", "running p").shows("d", "assigned p");
    mesh.ok("b").shows("d", "running p");
    assert_eq!(mesh.swarm.tokens(), Tokens { input: 60, output: 0 });
}

/// Found by random operations: it went on waiting for tokens that only the parent could give back, which waits itself.
#[test]
fn a_peer_whose_parent_waits_with_all_its_tokens_is_paused_although_others_work() {
    let mut mesh = Mesh::new();
    mesh.peer("q", &["y"], 1).submit([task("long").needs(&["y"]), task("parent").needs(&["x"])]);
    mesh.does(Op::PeerUp(PeerSpec { token_budget: Some(50), ..peer("p", &["x"], 1) })).shows("parent", "running p");
    let (author, parent, grant) = mesh.holder("parent");
    mesh.accept(&author, Op::Usage { task: parent, grant, tokens: Tokens { input: 60, output: 0 } });
    mesh.spawn("parent", [task("child").needs(&["x"])]).waits("parent", &[]);
    let p = mesh.swarm.find_peer("p").unwrap();
    assert_eq!(mesh.swarm.peer(p).unwrap().paused, Some(PauseReason::Budget));
    mesh.shows("long", "running q").peer("r", &["x"], 1).shows("child", "running r");
}

#[test]
fn the_budget_of_one_peer_pauses_that_peer() {
    let mut mesh = Mesh::new();
    mesh.does(Op::PeerUp(PeerSpec { token_budget: Some(50), ..peer("p", &[], 1) })).submit([task("a"), task("b")]);
    spends(&mut mesh, "a", 60);
    mesh.shows("b", "ready").peer("q", &[], 1).shows("b", "running q");
}

#[test]
fn a_parent_that_waits_does_not_hold_back_the_tokens_of_its_child_for_ever() {
    let mut mesh = Mesh::with(Config { token_budget: Some(150), ..Config::default() });
    mesh.peer("p", &[], 1).submit([task("a")]);
    spends(&mut mesh, "a", 60);
    mesh.submit([task("b")]).spawn("b", [task("child")]).waits("b", &[]).shows("child", "ready");
    assert!(mesh.swarm.is_stalled(), "the budget is spent, and it says so");
}

#[test]
fn rebalancing_moves_what_waits_until_no_move_is_better() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).peer("q", &["q"], 1).submit([task("x").needs(&["q"]), task("y")]);
    mesh.pause("q", PauseReason::User).submit(["a", "b", "c", "d", "e", "f"].map(task));
    mesh.resume("q");
    let before = imbalance(&mesh);
    mesh.does(Op::Rebalance);
    let moved = mesh.effects.iter().filter(|effect| matches!(effect, Effect::Unassigned { .. })).count();
    let after = imbalance(&mesh);
    assert!(moved > 0 && after < before, "{before} → {after} with {moved} moves");
    mesh.does(Op::Rebalance);
    assert_eq!(mesh.effects, [], "there is nothing better");
    mesh.shows("y", "running p").shows("x", "running q");
}

#[test]
fn without_load_balancing_the_first_eligible_peer_with_a_free_slot_takes_the_task() {
    let mut mesh = Mesh::with(Config { load_balancing: false, ..Config::default() });
    mesh.peer("p", &[], 2).peer("q", &[], 2).submit(["a", "b", "c", "d", "e", "f"].map(task));
    mesh.shows("b", "running p").shows("d", "running q").shows("e", "assigned p").shows("f", "assigned p");
    mesh.does(Op::Rebalance);
    assert_eq!(mesh.effects, []);
}

/// Runs one task of that type on a peer, alone.
fn alone(mesh: &mut Mesh, id: &str, kind: &str, peer: &str, ms: u64) {
    mesh.submit([task(id).kind(kind).needs(&[peer])]);
    let (author, task, grant) = mesh.holder(id);
    mesh.accept(&author, Op::Return(Returned { ran_ms: ms, ..returned(task, grant, AttemptOutcome::Ok) }));
}

fn loads(mesh: &Mesh) -> [u32; 2] {
    ["quick", "slow"].map(|id| mesh.swarm.peer(mesh.swarm.find_peer(id).unwrap()).unwrap().load())
}

#[test]
fn performance_gives_a_task_to_whoever_is_expected_to_end_it_first() {
    let spread = |strategy| {
        let mut mesh = Mesh::with(Config { strategy, ..Config::default() });
        mesh.peer("quick", &["quick"], 4).peer("slow", &["slow"], 4);
        alone(&mut mesh, "q", "k", "quick", 100);
        alone(&mut mesh, "s", "k", "slow", 1_000);
        mesh.submit(["a", "b", "c", "d"].map(|id| task(id).kind("k")));
        loads(&mesh)
    };
    assert_eq!(spread(Strategy::Balanced), [2, 2]);
    assert_eq!(spread(Strategy::Performance), [4, 0], "four times 100 ms are less than 1,000 ms");
}

#[test]
fn adaptive_is_balanced_until_each_type_was_done_twenty_times() {
    let mut mesh = Mesh::with(Config { strategy: Strategy::Adaptive, ..Config::default() });
    mesh.peer("quick", &["quick"], 4).peer("slow", &["slow"], 4);
    let spread = |mesh: &mut Mesh, round: &str| {
        let ids = ["a", "b", "c", "d"].map(|id| format!("{round}{id}"));
        mesh.submit(ids.each_ref().map(|id| task(id).kind("k")));
        let spread = loads(mesh);
        ids.iter().for_each(|id| _ = mesh.ok(id));
        spread
    };
    alone(&mut mesh, "q", "k", "quick", 100);
    alone(&mut mesh, "s", "k", "slow", 100_000);
    assert_eq!(spread(&mut mesh, "first"), [2, 2]);
    for n in 0..20 {
        alone(&mut mesh, &format!("more{n}"), "k", "slow", 100_000);
    }
    assert_eq!(spread(&mut mesh, "learned"), [4, 0]);
    mesh.submit([task("new").kind("another").needs(&["slow"])]).ok("new");
    assert_eq!(spread(&mut mesh, "again"), [2, 2], "a type that nobody has learned");
}

/// Σ L²/c, for peers with one slot.
fn imbalance(mesh: &Mesh) -> u32 {
    mesh.swarm.peers().map(|(_, peer)| peer.load() * peer.load()).sum()
}

fn spends(mesh: &mut Mesh, id: &str, input: u64) {
    let (author, task, grant) = mesh.holder(id);
    let usage = Tokens { input, output: 0 };
    mesh.accept(&author, Op::Return(Returned { usage, ..returned(task, grant, AttemptOutcome::Ok) }));
}

/// Found by the simulator: two attempts reserved the mean of absurd reports, and their sum had no room.
#[test]
fn absurd_numbers_of_a_peer_neither_overflow_nor_stop_anything() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit(["a", "b", "c", "d"].map(task));
    for id in ["a", "b", "c", "d"] {
        let (author, task, grant) = mesh.holder(id);
        let tokens = Tokens { input: u64::MAX, output: u64::MAX };
        mesh.accept(&author, Op::Usage { task, grant, tokens });
        let absurd = Returned { usage: tokens, ran_ms: u64::MAX, ..returned(task, grant, AttemptOutcome::Ok) };
        mesh.accept(&author, Op::Return(absurd));
        mesh.shows(id, "completed");
    }
}
