//! What a well-formed swarm file has to keep beyond its shape: names, references, limits.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::capabilities::Requirements;
use super::decode::Places;
use super::error::{Code, FileError};
use super::findings::{Finding, Findings, nearest, quoted};
use super::graph::{Graph, cycle_text};
use super::ids::check_id;
use super::model::{Agent, AgentKind, Hierarchical, Limits, Mesh, Peer, Review, SwarmFile, Task, Verify};
use meshwork_core::REVIEWS_MAX;

/// Most peers of a file, counts included: each costs memory before anything has run.
pub const MAX_PEERS: u32 = 100_000;
/// Most slots of a peer.
pub const MAX_SLOTS: u32 = 65_535;
/// Most tasks of a swarm (contracts, limits).
pub const MAX_TASKS: u32 = 1_000_000;
/// Most further attempts of a task: beyond this a retry is a loop.
pub const MAX_RETRIES: u32 = 1_000;

/// The most capabilities that a peer may have or a task require: 256, the core's own limit.
const MAX_CAPABILITIES: u64 = 256;
/// Longest time that can be asked for, in milliseconds: a year.
pub const MAX_TIMEOUT_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
/// Longest first back-off, in milliseconds: the back-off doubles up to this.
pub const MAX_BACKOFF_MS: u64 = 60_000;

/// Cycles that are named in one go; mending one often mends others.
const MAX_CYCLES: usize = 5;
/// Unknown dependencies that get a suggestion; each one costs a walk over all ids.
const MAX_SUGGESTIONS: usize = 5;

/// Checks a swarm that was built in memory as `load` checks one that was read; `name` is what
/// errors call it, and there are no lines.
///
/// ```
/// use meshwork::file::{Code, Format, Task, parse, validate};
///
/// let mut file = parse("peers = [{ id = \"ada\" }]\ntasks = []\n", Format::Toml, "swarm.toml")?;
/// let build = Task { run: Some("make".to_owned()), ..Task::new("build") };
/// file.tasks.push(build.clone());
/// assert!(validate(&file, "swarm.toml").is_ok());
///
/// file.tasks.push(build);
/// assert_eq!(validate(&file, "swarm.toml").map_err(|error| error.code()), Err(Code::DuplicateId));
/// # Ok::<(), meshwork::file::FileError>(())
/// ```
///
/// # Errors
/// Everything that is wrong with it.
pub fn validate(file: &SwarmFile, name: &str) -> Result<(), FileError> {
    let mut findings = Findings::default();
    all(file, &Places::default(), &mut findings);
    findings.into_result(name, "")
}

/// All checks, in the order of the file.
pub(super) fn all(file: &SwarmFile, places: &Places, findings: &mut Findings) {
    let mut checks = Checks { places, findings };
    checks.settings(file);
    checks.peers(file);
    checks.tasks(file);
    checks.dependencies(file);
    // Who can take a task is worth saying only when it is clear who there is.
    if checks.findings.is_empty() {
        checks.run_lines(file);
    }
}

struct Checks<'a> {
    places: &'a Places,
    findings: &'a mut Findings,
}

impl Checks<'_> {
    fn setting(&self, key: &str) -> Option<u32> {
        self.places.settings.get(key).copied()
    }

    fn peer(&self, number: usize) -> Option<u32> {
        self.places.peers.get(number).copied()
    }

    fn task(&self, number: usize) -> Option<u32> {
        self.places.tasks.get(number).copied()
    }

    fn refuse(&mut self, code: Code, at: Option<u32>, message: String, found: String, expected: &str) {
        let finding = Finding::new(code, at, message);
        self.findings.push(finding.found(found).expected(expected));
    }

    fn name(&mut self, at: Option<u32>, what: &str, name: &str) {
        if let Err(error) = check_id(name) {
            let message = format!("{what} {error}");
            let expected = "1 to 256 bytes of printable UTF-8 without a leading `-`";
            self.refuse(Code::InvalidId, at, message, quoted(name), expected);
        }
    }

    fn range(&mut self, at: Option<u32>, what: &str, value: u64, least: u64, most: u64) {
        if (least..=most).contains(&value) {
            return;
        }
        let expected = match most {
            u64::MAX => format!("at least {least}"),
            _ => format!("{least} to {most}"),
        };
        let message = format!("{what} out of range");
        self.refuse(Code::OutOfRange, at, message, value.to_string(), &expected);
    }

    fn settings(&mut self, file: &SwarmFile) {
        let at = self.setting("swarm.id");
        self.name(at, "the swarm's id", &file.swarm.id);
        self.limits(&file.limits);
        self.mesh(&file.mesh);
        self.hierarchical(file);
    }

    fn limits(&mut self, limits: &Limits) {
        let retry_backoff = limits.retry_backoff.millis();
        let run_timeout = limits.run_timeout.map_or(1, |span| span.millis());
        let any = u64::MAX;
        let ranges = [
            ("token_budget", limits.token_budget.unwrap_or(1), 1, any),
            ("max_sessions", limits.max_sessions.unwrap_or(1).into(), 1, any),
            ("run_timeout (ms)", run_timeout, 1, MAX_TIMEOUT_MS),
            ("retry_backoff (ms)", retry_backoff, 0, MAX_BACKOFF_MS),
            ("tasks", limits.tasks.into(), 1, MAX_TASKS.into()),
            ("crash_attempts", limits.crash_attempts.into(), 1, any),
            ("interruptions", limits.interruptions.into(), 1, any),
            ("message_bytes", limits.message_bytes, 1, any),
            ("mailbox_messages", limits.mailbox_messages.into(), 1, any),
            ("artifact_bytes", limits.artifact_bytes, 1, any),
        ];
        for (key, value, least, most) in ranges {
            let name = key.split(' ').next().unwrap_or(key);
            let at = self.setting(&format!("limits.{name}"));
            self.range(at, &format!("limits.{key}"), value, least, most);
        }
    }

    fn mesh(&mut self, mesh: &Mesh) {
        let at = self.setting("mesh.max_concurrent_tasks_per_peer");
        let slots = mesh.max_concurrent_tasks_per_peer;
        let what = "mesh.max_concurrent_tasks_per_peer";
        self.range(at, what, slots.into(), 1, MAX_SLOTS.into());
        let at = self.setting("mesh.rebalance_interval");
        let interval = mesh.rebalance_interval.millis();
        self.range(at, "mesh.rebalance_interval (ms)", interval, 1, MAX_TIMEOUT_MS);
        if let Some(idle) = mesh.pause_idle_after {
            let at = self.setting("mesh.pause_idle_after");
            self.range(at, "mesh.pause_idle_after (ms)", idle.millis(), 1, MAX_TIMEOUT_MS);
        }
        let threshold = mesh.load_imbalance_threshold;
        if !(threshold.is_finite() && threshold >= 1.0) {
            let at = self.setting("mesh.load_imbalance_threshold");
            let message = "mesh.load_imbalance_threshold out of range".to_owned();
            self.refuse(Code::OutOfRange, at, message, threshold.to_string(), "at least 1.0");
        }
    }

    /// Judged whatever the topology: what is wrong is said when the file is read, not when the swarm has grown.
    fn hierarchical(&mut self, file: &SwarmFile) {
        let Hierarchical { min_workers, max_workers, branching, scaling_threshold, .. } = file.hierarchical;
        let at = self.setting("hierarchical.branching");
        self.range(at, "hierarchical.branching", branching.into(), 1, u64::MAX);
        // One of them is the queen.
        let below = |agents: u64| agents.saturating_sub(1).max(1);
        let least = u64::from(min_workers.unwrap_or(1));
        let at = self.setting("hierarchical.min_workers");
        self.range(at, "hierarchical.min_workers", least, 1, below(file.peer_count()));
        if let Some(most) = max_workers {
            let at = self.setting("hierarchical.max_workers");
            let all = below(u64::from(file.agents())).max(least);
            self.range(at, "hierarchical.max_workers", most.into(), least.max(1), all);
        }
        if !(0.001..=1.0).contains(&scaling_threshold) {
            let at = self.setting("hierarchical.scaling_threshold");
            let message = "hierarchical.scaling_threshold out of range".to_owned();
            self.refuse(Code::OutOfRange, at, message, scaling_threshold.to_string(), "0.001 to 1.0");
        }
    }

    fn peers(&mut self, file: &SwarmFile) {
        if file.peers.is_empty() {
            let message = "the file names no peers".to_owned();
            self.refuse(Code::NoPeers, None, message, String::new(), "at least one [[peers]]");
            return;
        }
        for (number, peer) in file.peers.iter().enumerate() {
            self.one_peer(number, peer);
        }
        let total = file.peer_count();
        if total > u64::from(MAX_PEERS) {
            let (at, message) = (self.peer(0), "too many peers".to_owned());
            let expected = format!("at most {MAX_PEERS}, counts included");
            self.refuse(Code::TooManyPeers, at, message, total.to_string(), &expected);
            return;
        }
        if let Some(most) = file.swarm.max_agents {
            let at = self.setting("swarm.max_agents");
            self.range(at, "swarm.max_agents", most.into(), 1, u64::MAX);
            if total > u64::from(most) {
                let message = "more peers than swarm.max_agents".to_owned();
                let expected = format!("at most {most}");
                self.refuse(Code::TooManyPeers, at, message, total.to_string(), &expected);
            }
        }
        self.peer_ids(file);
    }

    fn one_peer(&mut self, number: usize, peer: &Peer) {
        let at = self.peer(number);
        let id = quoted(&peer.id);
        self.name(at, "the id of a peer", &peer.id);
        let what = format!("the number of capabilities of peer {id}");
        self.range(at, &what, peer.capabilities.len() as u64, 0, MAX_CAPABILITIES);
        for capability in &peer.capabilities {
            self.name(at, &format!("a capability of peer {id}"), capability);
        }
        let count = peer.size().into();
        self.range(at, &format!("count of peer {id}"), count, 1, MAX_PEERS.into());
        let slots = peer.max_concurrent_tasks.unwrap_or(1).into();
        let what = format!("max_concurrent_tasks of peer {id}");
        self.range(at, &what, slots, 1, MAX_SLOTS.into());
        let budget = peer.token_budget.unwrap_or(1);
        self.range(at, &format!("token_budget of peer {id}"), budget, 1, u64::MAX);
        if let Some(interval) = peer.wake_interval {
            self.range(at, &format!("wake_interval (ms) of peer {id}"), interval.millis(), 1, MAX_TIMEOUT_MS);
            if peer.agent.kind == AgentKind::Shell {
                let message = format!("peer {id} is of kind shell and has a wake_interval");
                let expected = "kind = \"command\", or no wake_interval: without a task there is no line to run";
                self.refuse(Code::WakeNotAllowed, at, message, interval.to_string(), expected);
            }
        }
        self.agent(at, &id, &peer.agent);
    }

    fn agent(&mut self, at: Option<u32>, id: &str, agent: &Agent) {
        match (agent.kind, agent.command.as_slice()) {
            (AgentKind::Shell, [_, ..]) => {
                let message = format!("peer {id} is of kind shell and has a command");
                let expected = "kind = \"command\", or no command: a shell peer runs the task's `run` line";
                self.refuse(Code::CommandNotAllowed, at, message, String::new(), expected);
            }
            (AgentKind::Command, []) => {
                let message = format!("peer {id} is of kind command and has no command");
                let expected = "command = [\"program\", \"argument\", …]";
                self.refuse(Code::MissingCommand, at, message, String::new(), expected);
            }
            (AgentKind::Command, [program, ..]) if program.trim().is_empty() => {
                let message = format!("the command of peer {id} has an empty program");
                self.refuse(Code::MissingCommand, at, message, quoted(program), "a program");
            }
            _ => {}
        }
        let parts = agent.command.iter().chain(&agent.cwd);
        if parts.clone().any(|part| part.contains('\0')) || agent.cwd.as_deref() == Some("") {
            let message = format!("command or cwd of peer {id} cannot be used");
            let found = "an empty path or a NUL character".to_owned();
            self.refuse(Code::InvalidValue, at, message, found, "text without NUL");
        }
        for (name, value) in &agent.env {
            let bad_name = name.is_empty() || name.contains(['=', '\0']);
            if bad_name || value.contains('\0') {
                let message = format!("an environment variable of peer {id} cannot be set");
                let expected = "a name without `=`, and no NUL character in name or value";
                self.refuse(Code::InvalidEnvironment, at, message, quoted(name), expected);
            } else if name.starts_with("MESHWORK_") {
                let message = format!("an environment variable of peer {id} is reserved");
                let expected = "a name that does not begin with MESHWORK_";
                self.refuse(Code::InvalidEnvironment, at, message, quoted(name), expected);
            }
        }
    }

    /// Ids of single peers: an entry with a count stands for several.
    fn peer_ids(&mut self, file: &SwarmFile) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (number, peer) in file.peers.iter().enumerate() {
            for id in peer.ids() {
                if peer.count.is_some() && check_id(&peer.id).is_ok() {
                    self.name(self.peer(number), "the id of a peer with its number", &id);
                }
                match seen.get(&id).copied() {
                    None => {
                        seen.insert(id, number);
                    }
                    Some(first) => {
                        let second = self.peer(number);
                        self.duplicate("peer", &id, self.peer(first), second);
                        break; // the rest of the entry would say the same again
                    }
                }
            }
        }
    }

    fn duplicate(&mut self, what: &str, id: &str, first: Option<u32>, second: Option<u32>) {
        let message = format!("two {what}s are called {}", quoted(id));
        let mut finding = Finding::new(Code::DuplicateId, second, message);
        finding.first = first;
        self.findings.push(finding.expected("each id once"));
    }

    fn tasks(&mut self, file: &SwarmFile) {
        let (total, most) = (file.tasks.len(), file.limits.tasks);
        if total as u64 > u64::from(most) {
            let at = self.setting("limits.tasks").or(self.task(most as usize));
            let message = "more tasks than limits.tasks".to_owned();
            let expected = format!("at most {most}");
            self.refuse(Code::TooManyTasks, at, message, total.to_string(), &expected);
        }
        for (number, task) in file.tasks.iter().enumerate() {
            self.one_task(self.task(number), task);
        }
    }

    fn one_task(&mut self, at: Option<u32>, task: &Task) {
        self.name(at, "the id of a task", &task.id);
        if meshwork_core::is_reserved_id(&task.id) {
            let message = "the id of a task ends as only those of reviews do".to_owned();
            self.refuse(Code::InvalidId, at, message, quoted(&task.id), "no `#review-` and numbers at its end");
        }
        self.name(at, "the type of a task", &task.task_type);
        if task.required_capabilities.len() as u64 > MAX_CAPABILITIES {
            let what = format!("the number of required capabilities of task {}", quoted(&task.id));
            self.range(at, &what, task.required_capabilities.len() as u64, 0, MAX_CAPABILITIES);
        }
        for capability in &task.required_capabilities {
            self.name(at, "a required capability", capability);
        }
        if !(1..=10).contains(&task.priority) {
            let message = format!("priority of task {} out of range", quoted(&task.id));
            let found = format!("the number {}", task.priority);
            let expected = super::model::EXPECTED_PRIORITY;
            self.refuse(Code::PriorityOutOfRange, at, message, found, expected);
        }
        if task.retries > MAX_RETRIES {
            let what = format!("retries of task {}", quoted(&task.id));
            self.range(at, &what, task.retries.into(), 0, MAX_RETRIES.into());
        }
        if let Some(timeout) = task.timeout {
            let what = format!("timeout (ms) of task {}", quoted(&task.id));
            self.range(at, &what, timeout.millis(), 1, MAX_TIMEOUT_MS);
        }
        if let Some(run) = &task.run {
            self.line(at, "run", &task.id, run);
        }
        if let Some(verify) = &task.verify {
            self.verify(at, &task.id, verify);
        }
        if let Some(review) = &task.review {
            self.review(at, &task.id, review);
        }
    }

    /// A line for the shell.
    fn line(&mut self, at: Option<u32>, key: &str, id: &str, line: &str) {
        if line.trim().is_empty() {
            let message = format!("`{key}` of task {} is empty", quoted(id));
            let expected = "a line for the shell; `true` does nothing";
            self.refuse(Code::EmptyRun, at, message, quoted(line), expected);
        } else if line.contains('\0') {
            let message = format!("`{key}` of task {} cannot be run", quoted(id));
            let found = "a NUL character".to_owned();
            self.refuse(Code::InvalidValue, at, message, found, "text without NUL");
        }
    }

    fn verify(&mut self, at: Option<u32>, id: &str, verify: &Verify) {
        if let Some(run) = &verify.run {
            self.line(at, "verify.run", id, run);
        } else if verify.artifacts.is_empty() {
            let message = format!("`verify` of task {} asks for no evidence", quoted(id));
            let expected = "`run` or `artifacts`";
            self.refuse(Code::EmptyVerify, at, message, String::new(), expected);
        }
        for path in &verify.artifacts {
            if !stays_inside(path) {
                let message = format!("an artifact path of task {} is not allowed", quoted(id));
                let expected = "a relative path without `..`";
                self.refuse(Code::InvalidPath, at, message, quoted(path), expected);
            }
        }
    }

    fn review(&mut self, at: Option<u32>, id: &str, review: &Review) {
        let (task, most) = (quoted(id), u64::from(REVIEWS_MAX));
        let of = review.of.unwrap_or(review.approvals);
        if (1..=most).contains(&u64::from(review.approvals)) {
            let least = u64::from(review.approvals);
            self.range(at, &format!("review.of of task {task}"), of.into(), least, most);
        } else {
            self.range(at, &format!("review.approvals of task {task}"), review.approvals.into(), 1, most);
        }
        let capabilities = review.required_capabilities.len() as u64;
        let what = format!("the number of capabilities that the reviews of task {task} require");
        self.range(at, &what, capabilities, 0, MAX_CAPABILITIES);
        for capability in &review.required_capabilities {
            self.name(at, "a required capability", capability);
        }
        if let Some(run) = &review.run {
            self.line(at, "review.run", id, run);
        }
    }

    fn dependencies(&mut self, file: &SwarmFile) {
        let mut index = HashMap::with_capacity(file.tasks.len());
        for (number, task) in file.tasks.iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if let Some(first) = index.insert(task.id.as_str(), number) {
                let (first, second) = (self.task(first as usize), self.task(number as usize));
                self.duplicate("task", &task.id, first, second);
            }
        }
        let mut suggestions = 0;
        let graph = Graph::of(&file.tasks, &index, |number, dependency| {
            let at = self.places.dependencies.get(number).copied();
            let id = quoted(&file.tasks[number].id);
            let message = format!("task {id} depends on a task that does not exist");
            let mut expected = "the id of a task of this file".to_owned();
            if suggestions < MAX_SUGGESTIONS {
                suggestions += 1;
                let ids = file.tasks.iter().map(|task| task.id.as_str());
                if let Some(near) = nearest(dependency, ids) {
                    expected = quoted(near);
                }
            }
            let code = Code::UnknownDependency;
            self.refuse(code, at, message, quoted(dependency), &expected);
        });
        for cycle in graph.cycles(MAX_CYCLES) {
            let first = cycle.first().map_or(0, |task| *task as usize);
            let at = self.places.dependencies.get(first).copied();
            let text = cycle_text(&cycle, |task| &file.tasks[task as usize].id);
            let message = "tasks wait for each other".to_owned();
            let expected = "dependencies without a cycle";
            self.refuse(Code::DependencyCycle, at, message, text, expected);
        }
    }

    /// A task that only shell peers can take needs a line for them.
    fn run_lines(&mut self, file: &SwarmFile) {
        let reviewed_by_line = |task: &Task| task.review.as_ref().is_none_or(|review| review.run.is_some());
        if file.tasks.iter().all(|task| task.run.is_some() && reviewed_by_line(task)) {
            return;
        }
        let requirements = Requirements::of(file);
        for (number, task) in file.tasks.iter().enumerate() {
            let candidates = requirements.candidates(number);
            if task.run.is_none() && candidates.shell && !candidates.other {
                let (at, id) = (self.task(number), quoted(&task.id));
                let message = format!("task {id} has no `run`, and only shell peers can take it");
                let expected = "`run = \"…\"`";
                self.refuse(Code::MissingRun, at, message, String::new(), expected);
            }
            let only_shell = requirements.reviewers(number).is_some_and(|found| found.shell && !found.other);
            if only_shell && !reviewed_by_line(task) {
                let (at, id) = (self.task(number), quoted(&task.id));
                let message = format!("`review` of task {id} has no `run`, and only shell peers can take it");
                let expected = "`run = \"…\"` in [tasks.review]";
                self.refuse(Code::MissingRun, at, message, String::new(), expected);
            }
        }
    }
}

/// True for a relative path that does not leave its folder.
fn stays_inside(path: &str) -> bool {
    let parts = || Path::new(path).components();
    !path.contains('\0')
        && parts().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && parts().any(|part| matches!(part, Component::Normal(_)))
}
