//! What would happen with a swarm file, without running it.

use std::collections::HashMap;

use serde::Serialize;

use super::capabilities::Requirements;
use super::graph::Graph;
use super::model::{Hierarchical, SwarmFile};
use crate::topology::{Choice, Topology, TopologyType, TopologyValidationResult};

/// Why no peer can take a task or its reviews.
///
/// ```
/// use meshwork::file::{Format, Reason, check, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     peers = [{ id = "ada", capabilities = ["code"] }]
///     tasks = [
///         { id = "review", run = "make review", required_capabilities = ["security"] },
///         { id = "merge", run = "git merge", dependencies = ["review"] },
///     ]
/// "#;
/// let report = check(&parse(text, Format::Toml, "swarm.toml")?);
/// assert_eq!(report.unsatisfiable_tasks[0].reason, Reason::NoPeerHas);
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Some capability is one that no peer has.
    NoPeerHas,
    /// Each capability is there, but no single peer has them all.
    NoSinglePeerHasAll,
}

/// A task that no peer can take, or whose reviews no peer can take.
///
/// ```
/// use meshwork::file::{Format, check, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     peers = [{ id = "ada", capabilities = ["code"] }]
///     tasks = [
///         { id = "review", run = "make review", required_capabilities = ["security"] },
///         { id = "merge", run = "git merge", dependencies = ["review"] },
///     ]
/// "#;
/// let report = check(&parse(text, Format::Toml, "swarm.toml")?);
/// let review = &report.unsatisfiable_tasks[0];
/// assert_eq!((&*review.task_id, &review.capabilities[..]), ("review", &["security".to_owned()][..]));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnsatisfiableTask {
    /// The task.
    pub task_id: String,
    /// Why.
    pub reason: Reason,
    /// The capabilities that no peer has, or all those that no single peer has together.
    pub capabilities: Vec<String>,
    /// The same in a sentence.
    pub message: String,
}

/// A task that will never start because of one that it depends on.
///
/// ```
/// use meshwork::file::{Format, check, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     peers = [{ id = "ada", capabilities = ["code"] }]
///     tasks = [
///         { id = "review", run = "make review", required_capabilities = ["security"] },
///         { id = "merge", run = "git merge", dependencies = ["review"] },
///     ]
/// "#;
/// let report = check(&parse(text, Format::Toml, "swarm.toml")?);
/// let merge = &report.unreachable_tasks[0];
/// assert_eq!((&*merge.task_id, &*merge.because_of), ("merge", "review"));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreachableTask {
    /// The task.
    pub task_id: String,
    /// The unsatisfiable task at the root of it.
    pub because_of: String,
}

/// What `check` found.
///
/// ```
/// use meshwork::file::{Format, check, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     peers = [{ id = "ada", capabilities = ["code"] }]
///     tasks = [
///         { id = "review", run = "make review", required_capabilities = ["security"] },
///         { id = "merge", run = "git merge", dependencies = ["review"] },
///     ]
/// "#;
/// let report = check(&parse(text, Format::Toml, "swarm.toml")?);
/// assert_eq!((report.peers, report.tasks, report.critical_path), (1, 2, 2));
/// assert!(!report.can_finish);
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// The swarm's id.
    pub swarm_id: String,
    /// Single peers, counts included.
    pub peers: u64,
    /// Tasks that run at once when every peer is busy.
    pub slots: u64,
    /// Tasks of the file.
    pub tasks: u64,
    /// Dependencies of the file.
    pub dependencies: u64,
    /// Most tasks that have to run one after another.
    pub critical_path: u64,
    /// Most tasks at the same distance from the start: how many peers could help at best.
    pub widest_layer: u64,
    /// True if every task and every review can be taken by some peer.
    pub can_finish: bool,
    /// The topology that the swarm is run in.
    pub chosen_topology: TopologyType,
    /// What the router says about it.
    pub topology: TopologyValidationResult,
    /// Tasks that no peer can take or review, in the order of the file.
    pub unsatisfiable_tasks: Vec<UnsatisfiableTask>,
    /// Tasks that never start because of those, in the order of the file.
    pub unreachable_tasks: Vec<UnreachableTask>,
    /// Peer entries that no task can be given to.
    pub unused_peers: Vec<String>,
    /// Other things worth a look.
    pub warnings: Vec<String>,
}

/// Says what would happen with a swarm that [`super::load`] or [`super::validate`] accepted.
///
/// ```
/// use meshwork::file::check;
/// use meshwork::file::{Format, parse};
///
/// let text = r#"
///     swarm.id = "demo"
///     [[peers]]
///     id = "ada"
///     count = 2
///     capabilities = ["code"]
///     [[tasks]]
///     id = "build"
///     run = "make"
///     [[tasks]]
///     id = "test"
///     dependencies = ["build"]
///     run = "make test"
/// "#;
/// let file = parse(text, Format::Toml, "swarm.toml")?;
/// let report = check(&file);
/// assert_eq!((report.can_finish, report.peers, report.critical_path), (true, 2, 2));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
#[must_use]
pub fn check(file: &SwarmFile) -> CheckReport {
    let requirements = Requirements::of(file);
    let ids = file.tasks.iter().map(|task| task.id.as_str());
    let index: HashMap<&str, u32> = ids.zip(0..).collect();
    let graph = Graph::of(&file.tasks, &index, |_, _| {});
    let (critical_path, widest_layer, because_of) = walk(&graph, &requirements);

    let unsatisfiable_tasks: Vec<_> =
        (0..file.tasks.len()).filter_map(|number| unsatisfiable(file, &requirements, number)).collect();
    let unreachable_tasks = because_of
        .iter()
        .zip(&file.tasks)
        .filter_map(|(root, task)| {
            Some(UnreachableTask { task_id: task.id.clone(), because_of: file.tasks[(*root)? as usize].id.clone() })
        })
        .collect();
    let peers = file.peer_count();
    let slots = file.peers.iter();
    let slots = slots.map(|peer| u64::from(peer.size()) * u64::from(peer.slots(&file.mesh)));
    let unused = file.peers.iter().zip(&requirements.used);
    CheckReport {
        swarm_id: file.swarm.id.clone(),
        peers,
        slots: slots.sum(),
        tasks: file.tasks.len() as u64,
        dependencies: graph.edge_count() as u64,
        critical_path,
        widest_layer,
        can_finish: unsatisfiable_tasks.is_empty(),
        chosen_topology: choice(file).topology().into(),
        topology: choice(file).validation().into(),
        unsatisfiable_tasks,
        unreachable_tasks,
        unused_peers: unused.filter(|(_, used)| !**used).map(|(peer, _)| peer.id.clone()).collect(),
        warnings: warnings(file, &requirements),
    }
}

/// What the topology that is run is chosen by.
fn choice(file: &SwarmFile) -> Choice {
    Choice {
        requested: file.swarm.topology.requested().into(),
        strategy: file.swarm.strategy.requested().into(),
        agents: file.agents(),
        ..Choice::default()
    }
}

/// One pass in the order of dependencies: the longest chain, the widest layer, and by task the
/// unsatisfiable task that keeps it from starting. Such a task does not fail, it waits, so what its
/// dependants would do after a failure does not come into play.
fn walk(graph: &Graph, requirements: &Requirements) -> (u64, u64, Vec<Option<u32>>) {
    let mut layer = vec![0usize; graph.len()];
    let mut because_of: Vec<Option<u32>> = vec![None; graph.len()];
    let mut widths: Vec<u64> = Vec::new();
    for task in graph.order() {
        let task = task as usize;
        for dependency in graph.dependencies(task) {
            let at = *dependency as usize;
            layer[task] = layer[task].max(layer[at] + 1);
            let root = match requirements.can_complete(at) {
                true => because_of[at],
                false => Some(*dependency),
            };
            because_of[task] = because_of[task].or(root);
        }
        if widths.len() <= layer[task] {
            widths.resize(layer[task] + 1, 0);
        }
        widths[layer[task]] += 1;
    }
    for (task, root) in because_of.iter_mut().enumerate() {
        if !requirements.can_complete(task) {
            *root = None; // it is unsatisfiable itself, which says more
        }
    }
    let widest = widths.iter().copied().max().unwrap_or(0);
    (widths.len() as u64, widest, because_of)
}

fn unsatisfiable(file: &SwarmFile, requirements: &Requirements, number: usize) -> Option<UnsatisfiableTask> {
    let (task, own) = (&file.tasks[number], requirements.candidates(number));
    let reviewers = requirements.reviewers(number).zip(task.review.as_ref());
    let (found, required, can_never) = match reviewers {
        _ if !own.any() => (own, &task.required_capabilities, "run"),
        Some((found, review)) if !found.any() => (found, &review.required_capabilities, "be reviewed"),
        _ => return None,
    };
    let (reason, capabilities) = match found.missing.is_empty() {
        false => (Reason::NoPeerHas, found.missing.clone()),
        true => {
            let mut all = required.clone();
            all.sort_unstable();
            (Reason::NoSinglePeerHasAll, all)
        }
    };
    let list: Vec<_> = capabilities.iter().map(|name| format!("`{name}`")).collect();
    let (id, list) = (&task.id, list.join(", "));
    let message = match reason {
        Reason::NoPeerHas => format!("task `{id}` can never {can_never}: no peer has {list}"),
        Reason::NoSinglePeerHasAll => {
            format!("task `{id}` can never {can_never}: no single peer has all of {list}")
        }
    };
    Some(UnsatisfiableTask { task_id: id.clone(), reason, capabilities, message })
}

/// Things that are allowed and probably not meant.
fn warnings(file: &SwarmFile, requirements: &Requirements) -> Vec<String> {
    let mut warnings = Vec::new();
    if file.tasks.is_empty() {
        warnings.push("the file has no tasks".to_owned());
    }
    let unused = Hierarchical { branching: file.hierarchical.branching, ..Hierarchical::default() };
    match choice(file).topology() {
        Topology::Mesh if file.hierarchical != Hierarchical::default() => {
            warnings.push("the swarm is run as a mesh, where [hierarchical] has no effect".to_owned());
        }
        Topology::Hybrid if file.hierarchical != unused => {
            warnings.push(
                "the swarm is run as a hybrid, where only `branching` of [hierarchical] has an effect".to_owned(),
            );
        }
        _ => {}
    }
    if file.mesh.pause_idle_after.is_some() && file.peers.iter().all(|peer| peer.wake_interval.is_none()) {
        warnings.push("no peer has a wake_interval: `pause_idle_after` of [mesh] has no effect".to_owned());
    }
    let mixed = |(number, task): &(usize, &super::model::Task)| {
        let found = requirements.candidates(*number);
        task.run.is_none() && found.shell && found.other
    };
    let mixed: Vec<_> = file.tasks.iter().enumerate().filter(mixed).collect();
    if let Some((_, first)) = mixed.first() {
        warnings.push(format!(
            "{} task(s) without `run`, `{}` first, could be given to a shell peer and would fail there; \
             require a capability that only the others have",
            mixed.len(),
            first.id
        ));
    }
    let shell_may = |(number, task): &(usize, &super::model::Task)| {
        let review_has_run = task.review.as_ref().is_some_and(|review| review.run.is_some());
        requirements.reviewers(*number).is_some_and(|found| found.shell && found.other && !review_has_run)
    };
    let mixed: Vec<_> = file.tasks.iter().enumerate().filter(shell_may).collect();
    if let Some((_, first)) = mixed.first() {
        warnings.push(format!(
            "the reviews of {} task(s), `{}` first, have no `run`, could be given to a shell peer and would fail \
             there; require a capability that only the others have",
            mixed.len(),
            first.id
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Format, parse};
    use super::*;

    fn report(text: &str) -> CheckReport {
        check(&parse(text, Format::Toml, "swarm.toml").unwrap())
    }

    fn peers(count: u64, topology: &str) -> TopologyValidationResult {
        report(&format!("[swarm]\ntopology = '{topology}'\n[[peers]]\nid = 'p'\ncount = {count}\n")).topology
    }

    #[test]
    fn a_task_that_nobody_can_take_and_those_behind_it() {
        let report = report(
            "[[peers]]\nid='p'\ncapabilities=['a', 'b']\n[[peers]]\nid='q'\ncapabilities=['c']\n\
             [[peers]]\nid='idle'\ncapabilities=['b']\n\
             [[tasks]]\nid='one'\nrun='x'\nrequired_capabilities=['a', 'b']\n\
             [[tasks]]\nid='two'\nrun='x'\nrequired_capabilities=['c', 'a']\ndependencies=['one']\n\
             [[tasks]]\nid='three'\nrun='x'\nrequired_capabilities=['a', 'z']\ndependencies=['one']\n\
             [[tasks]]\nid='four'\nrun='x'\nrequired_capabilities=['c']\ndependencies=['two']\n\
             [[tasks]]\nid='five'\nrun='x'\nrequired_capabilities=['c']\ndependencies=['four']\non_dependency_failure='run'\n",
        );
        assert!(!report.can_finish);
        let [two, three] = report.unsatisfiable_tasks.as_slice() else { panic!("{report:?}") };
        assert_eq!(two.reason, Reason::NoSinglePeerHasAll);
        assert_eq!(two.capabilities, ["a", "c"]);
        assert_eq!(two.message, "task `two` can never run: no single peer has all of `a`, `c`");
        assert_eq!(three.reason, Reason::NoPeerHas);
        assert_eq!(three.message, "task `three` can never run: no peer has `z`");
        let unreachable = report.unreachable_tasks.iter();
        let unreachable: Vec<_> = unreachable.map(|task| (task.task_id.as_str(), task.because_of.as_str())).collect();
        assert_eq!(unreachable, [("four", "two"), ("five", "two")]);
        assert_eq!(report.unused_peers, ["idle"]);
        assert_eq!((report.critical_path, report.widest_layer), (4, 2));
        assert_eq!((report.peers, report.slots, report.tasks), (3, 9, 5));
    }

    #[test]
    fn a_task_that_nobody_can_review_and_those_behind_it() {
        let report = report(
            "[[peers]]\nid='p'\n[[peers]]\nid='r'\ncapabilities=['judge']\n\
             [[tasks]]\nid='fine'\nrun='x'\nreview={required_capabilities=['judge'], run='x'}\n\
             [[tasks]]\nid='one'\nrun='x'\nreview={required_capabilities=['judge', 'seal'], run='x'}\n\
             [[tasks]]\nid='two'\nrun='x'\ndependencies=['one']\n",
        );
        assert!(!report.can_finish);
        let [one] = report.unsatisfiable_tasks.as_slice() else { panic!("{report:?}") };
        assert_eq!(one.message, "task `one` can never be reviewed: no peer has `seal`");
        assert_eq!(report.unreachable_tasks[0].because_of, "one");
        assert!(report.unused_peers.is_empty() && report.warnings.is_empty(), "{report:?}");
    }

    #[test]
    fn a_review_that_a_shell_peer_could_be_given() {
        let report = report(
            "[[peers]]\nid='p'\n[[peers]]\nid='c'\nagent.kind='command'\nagent.command=['x']\n\
             [[tasks]]\nid='one'\nrun='x'\nreview={}\n",
        );
        assert!(report.can_finish);
        assert!(report.warnings[0].starts_with("the reviews of 1 task(s), `one` first, have no `run`"), "{report:?}");
    }

    #[test]
    fn topologies_and_numbers_of_peers() {
        let good = peers(7, "mesh");
        assert!(good.valid && good.warnings.is_empty() && good.recommended_topology.is_none());
        let many = peers(8, "mesh");
        assert!(many.valid);
        let best = Some(TopologyType::Hierarchical);
        assert_eq!(many.recommended_topology, best);
        let [warning] = many.warnings.as_slice() else { panic!("{many:?}") };
        assert!(warning.starts_with("mesh works with 8 agents, but hierarchical is recommended"), "{warning}");
        for (count, word, chosen) in [
            (7, "auto", TopologyType::Mesh),
            (8, "auto", TopologyType::Hierarchical),
            (50, "auto", TopologyType::Hybrid),
            (3, "hybrid", TopologyType::Hybrid),
            (60, "hierarchical", TopologyType::Hierarchical),
        ] {
            let report = report(&format!("[swarm]\ntopology = '{word}'\n[[peers]]\nid = 'p'\ncount = {count}\n"));
            assert_eq!(report.chosen_topology, chosen);
            assert_eq!(report.topology.recommended_topology.is_none(), word == "auto", "{report:?}");
        }
        // The limit counts, not how many of them there are by now.
        let grows = report("[swarm]\nmax_agents = 8\n[[peers]]\nid = 'p'\n");
        assert_eq!(grows.chosen_topology, TopologyType::Hierarchical);
    }

    #[test]
    fn a_strategy_shifts_what_auto_takes() {
        let check = |strategy: &str, more: &str, count: u64| {
            let head = format!("[swarm]\nstrategy = '{strategy}'\n{more}\n");
            report(&format!("{head}[[peers]]\nid = 'p'\ncount = {count}\n"))
        };
        let chosen = |strategy, more, count| check(strategy, more, count).chosen_topology;
        assert_eq!(chosen("performance", "", 14), TopologyType::Mesh);
        assert_eq!(chosen("performance", "", 15), TopologyType::Hierarchical);
        assert_eq!(chosen("adaptive", "", 8), TopologyType::Hierarchical);
        // Under adaptive those count that are there.
        assert_eq!(chosen("balanced", "max_agents = 8", 7), TopologyType::Hierarchical);
        assert_eq!(chosen("adaptive", "max_agents = 8", 7), TopologyType::Mesh);
        let asked = check("performance", "topology = 'mesh'", 14);
        assert!(asked.topology.warnings.is_empty(), "{asked:?}");
        let asked = check("balanced", "topology = 'mesh'", 14);
        assert!(asked.topology.warnings[0].starts_with("mesh works with 14 agents, but"), "{asked:?}");
    }

    #[test]
    fn everybody_who_was_written_down_is_there_from_the_start() {
        let scaling = |hierarchical: &str| {
            let text = format!("[hierarchical]\n{hierarchical}\n[[peers]]\nid = 'p'\ncount = 10\n");
            let config = parse(&text, Format::Toml, "swarm.toml").unwrap().topology_config();
            let scaling = crate::topology::TopologyRouter::new().choose(&config).unwrap().scaling.unwrap();
            (scaling.min_workers, scaling.max_workers)
        };
        assert_eq!(scaling(""), (9, 9));
        assert_eq!(scaling("branching = 3"), (9, 9));
        assert_eq!(scaling("min_workers = 2"), (2, 9));
        assert_eq!(scaling("max_workers = 4"), (4, 4));
        assert_eq!(scaling("min_workers = 1\nmax_workers = 4"), (1, 4));
        assert_eq!(scaling("min_workers = 1\nauto_scale = false"), (9, 9));
    }

    #[test]
    fn pausing_without_wakes_is_told_of() {
        let warned = |peer: &str| {
            let task = "[[tasks]]\nid = 't'\nrun = 'x'\n";
            report(&format!("[mesh]\npause_idle_after = '1s'\n[[peers]]\nid = 'p'\n{peer}\n{task}")).warnings
        };
        assert_eq!(warned(""), ["no peer has a wake_interval: `pause_idle_after` of [mesh] has no effect"]);
        let woken = "wake_interval = '1s'\nagent = { kind = 'command', command = ['x'] }";
        assert!(warned(woken).is_empty());
    }

    #[test]
    fn settings_of_another_topology_are_told_of() {
        let warned = |topology: &str, setting: &str| {
            let file = format!(
                "[swarm]\ntopology = '{topology}'\n[hierarchical]\n{setting}\n[[peers]]\nid = 'p'\ncount = 9\n\
                 [[tasks]]\nid = 't'\nrun = 'x'\n"
            );
            report(&file).warnings
        };
        assert_eq!(
            warned("mesh", "max_workers = 2"),
            ["the swarm is run as a mesh, where [hierarchical] has no effect"]
        );
        assert!(warned("hybrid", "max_workers = 2")[0].contains("only `branching`"));
        assert!(warned("hybrid", "branching = 2").is_empty());
        assert!(warned("auto", "max_workers = 2").is_empty());
    }

    #[test]
    fn the_report_is_json_in_camel_case() {
        let report = report("[[peers]]\nid='p'\n");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["criticalPath"], 0);
        assert_eq!(json["unsatisfiableTasks"], serde_json::json!([]));
        assert_eq!(json["warnings"][0], "the file has no tasks");
        assert!(json["topology"].get("recommendedTopology").is_none());
    }
}
