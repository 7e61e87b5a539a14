//! Which models there are: by size for exhausting them, and small named ones that between them exercise every rule.

use super::scope::{Budgets, Person, Scope, Script, Want, one_person, plain};
use meshwork_core::{DependencyPolicy, Review, Verify};
use std::collections::BTreeMap;

fn base(name: &str, nodes: usize) -> Scope {
    Scope {
        name: name.to_owned(),
        nodes,
        peers: 1,
        slots: 1,
        balancing: false,
        crashes: 2,
        interruptions: 100,
        scripts: BTreeMap::new(),
        people: Vec::new(),
        budgets: Budgets { faults: 2, ..Budgets::default() },
        cold: false,
        replays: false,
        lags_at_will: false,
        exact: false,
        mutant: None,
    }
}

fn verified(id: &str, retries: u32) -> Script {
    let mut script = plain(id, retries);
    script.spec.verify = Some(Verify { run: Some("true".to_owned()), artifacts: Vec::new() });
    script.unverified = true;
    script
}

fn after(mut script: Script, dependency: &str, policy: DependencyPolicy) -> Script {
    script.spec.dependencies = vec![dependency.to_owned()];
    script.spec.on_dependency_failure = policy;
    script
}

fn parent(id: &str, retries: u32, children: &[&str]) -> Script {
    let children = children.iter().map(|id| (*id).to_owned()).collect();
    Script { children, waits: true, leaves: true, ..plain(id, retries) }
}

/// So many tasks, attempts and nodes: a parent with a child that it may wait for, a dependant of the parent
/// with evidence, one that leaves messages open, one that runs whatever its dependency came to.
pub fn sized(tasks: usize, attempts: u32, nodes: usize) -> Scope {
    let retries = attempts.saturating_sub(1);
    let mut scope = base(&format!("{tasks}x{attempts}x{nodes}"), nodes);
    scope.budgets =
        Budgets { faults: 1, crashes: 1, suspicions: 1, errors: 1, lags: 1, failures: 1, ..Budgets::default() };
    let all = [
        parent("parent", retries, &["child"]),
        plain("child", retries),
        after(verified("checked", retries), "parent", DependencyPolicy::Fail),
        Script { messages: true, ..plain("sender", retries) },
        after(plain("last", retries), "sender", DependencyPolicy::Run),
    ];
    let more = (all.len()..tasks).map(|index| plain(&format!("task{index}"), retries));
    let scripts: Vec<Script> = all.into_iter().chain(more).take(tasks.max(1)).collect();
    let submitted: Vec<&str> = scripts.iter().map(|script| &*script.spec.id).filter(|id| *id != "child").collect();
    scope.people = one_person(&submitted);
    let mut scope = scripts.iter().cloned().fold(scope, Scope::with);
    if tasks < 2 {
        scope.scripts.values_mut().for_each(|script| script.children.clear());
    }
    scope
}

/// The model of this name.
pub fn named(name: &str) -> Option<Scope> {
    hunts().into_iter().find(|scope| scope.name == name)
}

/// Small models that between them exercise every rule, cheapest first.
pub fn hunts() -> Vec<Scope> {
    vec![
        refused(),
        dependants(),
        parts(),
        rounds(),
        alone(),
        checks(),
        paused_node(),
        peers_die(),
        births(),
        evidence(),
        reviewed(),
        messages(),
        children(),
        leaving(),
        cancels(),
        two_peers(),
        pauses(),
        losses(),
    ]
}

/// **The best single test**: a task falsely taken from a paused node, run elsewhere under the same attempt
/// number, then returned by both.
fn paused_node() -> Scope {
    let mut scope = base("paused-node", 2).with(plain("task", 1));
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 2, suspicions: 1, lags: 1, ..Budgets::default() };
    scope.lags_at_will = true;
    scope
}

/// Two nodes open and join one log, die, and come again under the same name.
fn births() -> Scope {
    let mut scope = base("births", 2).with(plain("task", 0));
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 1, crashes: 1, errors: 1, lags: 1, ..Budgets::default() };
    (scope.cold, scope.replays) = (true, true);
    scope
}

/// A parent submits a child, waits or leaves; a further attempt adopts it or does without.
fn children() -> Scope {
    let family = Script { forgets: true, ..parent("parent", 1, &["child"]) };
    let mut scope = base("children", 2).with(family).with(plain("child", 0));
    scope.people = one_person(&["parent"]);
    scope.budgets = Budgets { faults: 1, suspicions: 1, lags: 1, failures: 1, ..Budgets::default() };
    scope
}

/// Evidence is looked at, does not hold, or its check is lost with its node.
fn evidence() -> Scope {
    let mut scope = base("evidence", 2).with(verified("task", 1));
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 1, crashes: 1, suspicions: 1, lags: 1, failures: 1, ..Budgets::default() };
    scope
}

/// A check is lost with its peer and repeated by another of the same node: the first verdict comes too late.
fn checks() -> Scope {
    let mut scope = base("checks", 1).with(verified("task", 1));
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 1, deaths: 1, errors: 1, failures: 1, ..Budgets::default() };
    scope.peers = 2;
    scope
}

/// A result with evidence is reviewed by two, who both must approve.
fn reviewed() -> Scope {
    let mut work = verified("task", 1);
    work.spec.review = Some(Review { requires: Vec::new(), approvals: 2, of: 2, run: None });
    let review = Script { rejects: true, ..plain("review", 0) };
    let mut scope = base("reviewed", 2).with(work).with(review);
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 1, crashes: 1, suspicions: 1, failures: 1, ..Budgets::default() };
    scope
}

/// A body ends with messages open; a handler submits a child; the node dies before they are acknowledged.
fn messages() -> Scope {
    let sender = Script { messages: true, handler_child: Some("child".to_owned()), ..plain("sender", 0) };
    let mut scope = base("messages", 2).with(sender).with(plain("child", 0));
    scope.people = one_person(&["sender"]);
    scope.budgets = Budgets { faults: 1, suspicions: 1, lags: 1, errors: 1, ..Budgets::default() };
    scope
}

/// What has to be refused: another content under a name that is taken, a child that depends on its parent, and
/// that a node has left whose peers are up.
fn refused() -> Scope {
    let family = Script { waits: true, ..parent("parent", 0, &["child"]) };
    let child = after(plain("child", 0), "parent", DependencyPolicy::Fail);
    let mut scope = base("refused", 1).with(family).with(child);
    let edit = Person { at: 0, wants: vec![Want::Edit("parent".to_owned()), Want::Leave] };
    scope.people = one_person(&["parent"]);
    scope.people.push(edit);
    scope.budgets = Budgets { faults: 1, errors: 1, ..Budgets::default() };
    scope
}

/// A peer's agent dies while its node lives: its attempts are lost, and what its bodies say comes too late.
fn peers_die() -> Scope {
    let family = Script { messages: true, ..parent("parent", 1, &["child"]) };
    let mut scope = base("peers-die", 2).with(family).with(plain("child", 0));
    scope.people = one_person(&["parent"]);
    scope.budgets = Budgets { faults: 1, deaths: 1, ..Budgets::default() };
    scope
}

/// What becomes of those who depend on a task that fails.
fn dependants() -> Scope {
    let mut scope = base("dependants", 1)
        .with(plain("first", 0))
        .with(after(plain("fails", 0), "first", DependencyPolicy::Fail))
        .with(after(plain("runs", 0), "first", DependencyPolicy::Run))
        .with(after(plain("skipped", 0), "fails", DependencyPolicy::Skip));
    scope.people = one_person(&["first", "fails", "runs", "skipped"]);
    scope.budgets = Budgets { failures: 2, ..Budgets::default() };
    scope.balancing = true;
    scope
}

/// One node that fails, backs off, dies, and comes again.
fn alone() -> Scope {
    let mut scope = base("alone", 1).with(plain("task", 1));
    scope.people = one_person(&["task"]);
    scope.budgets = Budgets { faults: 3, crashes: 2, errors: 1, failures: 2, ..Budgets::default() };
    scope
}

/// A body's process dies again and again.
fn losses() -> Scope {
    let mut scope = base("losses", 2).with(plain("task", 1));
    scope.people = one_person(&["task"]);
    scope.interruptions = 1;
    scope.budgets = Budgets { faults: 3, crashes: 1, losses: 3, failures: 2, ..Budgets::default() };
    scope
}

/// A submission in several parts while somebody else seals; its author may be lost in between.
fn parts() -> Scope {
    let mut scope = base("parts", 2).with(plain("one", 0)).with(plain("two", 0));
    let submitter =
        vec![Want::Submit(vec!["one".to_owned()], true), Want::Submit(vec!["two".to_owned()], false), Want::Told(1)];
    scope.people = vec![Person { at: 1, wants: submitter }, Person { at: 0, wants: vec![Want::Seal(1)] }];
    scope.budgets = Budgets { faults: 1, crashes: 1, suspicions: 1, lags: 1, errors: 1, ..Budgets::default() };
    scope
}

/// Two rounds with the same ids, and a Seal of the first that comes late.
fn rounds() -> Scope {
    let mut scope = base("rounds", 2).with(plain("task", 0));
    let again = vec![
        Want::Submit(vec!["task".to_owned()], false),
        Want::Seal(1),
        Want::Told(1),
        Want::Submit(vec!["task".to_owned()], false),
        Want::Seal(2),
    ];
    scope.people = vec![Person { at: 0, wants: again }, Person { at: 1, wants: vec![Want::Seal(1)] }];
    scope.budgets = Budgets { faults: 1, lags: 1, errors: 1, failures: 1, ..Budgets::default() };
    scope
}

/// Whatever is open is cancelled, children too.
fn cancels() -> Scope {
    let mut scope = base("cancels", 2).with(parent("parent", 1, &["child"])).with(plain("child", 0));
    scope.people = one_person(&["parent"]);
    scope.budgets = Budgets { faults: 1, cancels: 1, suspicions: 1, failures: 1, ..Budgets::default() };
    scope
}

/// Peers are paused, and go on.
fn pauses() -> Scope {
    let mut scope = base("pauses", 2).with(plain("one", 0)).with(plain("two", 0));
    scope.people = one_person(&["one", "two"]);
    scope.budgets = Budgets { faults: 1, pauses: 1, idle_pauses: 1, suspicions: 1, ..Budgets::default() };
    scope
}

/// A node with several peers is lost at once.
fn two_peers() -> Scope {
    let mut scope = base("two-peers", 2).with(plain("one", 0)).with(plain("two", 0)).with(plain("three", 0));
    scope.people = one_person(&["one", "two", "three"]);
    scope.budgets = Budgets { faults: 1, crashes: 1, suspicions: 1, ..Budgets::default() };
    scope.peers = 2;
    scope.balancing = true;
    scope
}

/// A node is told to stop while it runs something, and comes again.
fn leaving() -> Scope {
    let mut scope = base("leaving", 2).with(verified("task", 0)).with(plain("other", 0));
    scope.people = one_person(&["task", "other"]);
    scope.budgets = Budgets { faults: 1, shutdowns: 1, crashes: 1, suspicions: 1, ..Budgets::default() };
    scope
}
