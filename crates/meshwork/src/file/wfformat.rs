//! Recorded workflows as swarms: WfCommons instances (WfFormat, schema 1.5) turned into swarm files.
//!
//! What is taken over: tasks, their order, and how long each took, as a `sleep`. What is not: the
//! programs, files and machines of the recording.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use super::graph::{Graph, cycle_text};
use super::ids::{IdError, check_id};
use super::model::{Agent, Peer, Swarm, SwarmFile, Task, Workspace};
use super::validate::MAX_PEERS;

/// The schema version that is read.
pub const SCHEMA_VERSION: &str = "1.5";

/// The capability of the peers, and what each task requires.
const CAPABILITY: &str = "sh";

/// Longest sleep that is written, in seconds; beyond it a shell's `sleep` is not portable.
const MAX_SECONDS: f64 = 1e9;

/// How an instance is turned into a swarm.
///
/// ```
/// use meshwork::file::wfformat::{ImportError, ImportOptions, import};
///
/// let instance = r#"{"name": "blast", "schemaVersion": "1.5", "workflow": {
///     "specification": {"tasks": [{"id": "split"}, {"id": "join", "parents": ["split"]}]},
///     "execution": {"tasks": [{"id": "split", "runtimeInSeconds": 12.5}]}
/// }}"#;
/// let options = ImportOptions { time_scale: 0.1, peers: 4, id: Some("tiny".to_owned()) };
/// let text = import(instance.as_bytes(), &options)?;
/// assert!(text.contains("sleep 1.25") && text.contains("count = 4"));
/// # Ok::<(), ImportError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Recorded seconds × this = seconds of sleep; 0 makes every task `true`. Default 0.01.
    pub time_scale: f64,
    /// How many shell peers, each with one slot. Default: 1; the command passes the cores.
    pub peers: usize,
    /// The swarm's id. Default: the instance's name; without one, the swarm file's name.
    pub id: Option<String>,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self { time_scale: 0.01, peers: 1, id: None }
    }
}

/// Why an instance cannot be imported. Nothing was written.
///
/// ```
/// use meshwork::file::wfformat::{ImportError, ImportOptions, import};
///
/// let error = import(br#"{"schemaVersion": "1.4"}"#, &ImportOptions::default());
/// assert!(matches!(error, Err(ImportError::SchemaVersion { found }) if found == "\"1.4\""));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Not well-formed JSON.
    #[error("not JSON: {0}")]
    NotJson(serde_json::Error),
    /// Another version of the schema, or none.
    #[error("found schemaVersion {found}, expected \"{SCHEMA_VERSION}\"")]
    SchemaVersion {
        /// What stands there.
        found: String,
    },
    /// A part that every instance has is not there.
    #[error("no {0}; expected a WfFormat {SCHEMA_VERSION} instance")]
    Missing(&'static str),
    /// A part is there and not of the shape that it has to have.
    #[error("{part} cannot be read: {error}")]
    Shape {
        /// The part, as a path.
        part: &'static str,
        /// The parser's words.
        error: serde_json::Error,
    },
    /// A task's id breaks the rule for ids.
    #[error("the id of task {id:?} {error}")]
    InvalidId {
        /// The id.
        id: String,
        /// The part of the rule.
        error: IdError,
    },
    /// The swarm's id breaks the rule for ids.
    #[error("the swarm's id {id:?} {error}")]
    InvalidSwarmId {
        /// The id.
        id: String,
        /// The part of the rule.
        error: IdError,
    },
    /// Two tasks, or two recorded executions, of one id.
    #[error("task {id:?} stands twice in {part}")]
    DuplicateTask {
        /// The id.
        id: String,
        /// Where.
        part: &'static str,
    },
    /// An execution is recorded for a task that does not exist.
    #[error("workflow.execution.tasks names task {0:?}, which workflow.specification.tasks does not have")]
    UnknownExecution(String),
    /// A parent that is no task.
    #[error("task {task:?} has the parent {parent:?}, which is not a task of the workflow")]
    UnknownParent {
        /// The child.
        task: String,
        /// The parent.
        parent: String,
    },
    /// Tasks wait for each other; a cycle in words.
    #[error("tasks wait for each other: {0}")]
    Cycle(String),
    /// A runtime that is no length of time, or too long a sleep.
    #[error("task {task:?} has the runtime {runtime} s, expected 0 to {MAX_SECONDS:e} s after scaling")]
    InvalidRuntime {
        /// The task.
        task: String,
        /// What was recorded.
        runtime: String,
    },
    /// A time scale that is negative or no number.
    #[error("found time scale {0}, expected a number from 0 on")]
    InvalidTimeScale(f64),
    /// No peers, or more than a swarm may have.
    #[error("found {0} peers, expected 1 to {MAX_PEERS}")]
    InvalidPeers(usize),
    /// The swarm file could not be written as TOML.
    #[error("the swarm file cannot be written as TOML: {0}")]
    Write(#[from] toml::ser::Error),
}

/// A task of `workflow.specification.tasks`.
#[derive(Deserialize)]
struct Specified {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    parents: Vec<String>,
}

/// A task of `workflow.execution.tasks`. The number is kept as it is, to name it in errors.
#[derive(Deserialize)]
struct Executed {
    id: String,
    #[serde(default, rename = "runtimeInSeconds")]
    runtime: Option<Value>,
}

/// Turns an instance into the text of a swarm file.
///
/// ```
/// use meshwork::file::{Format, parse};
/// use meshwork::file::wfformat::{ImportError, ImportOptions, import};
///
/// let instance = r#"{"name": "blast", "schemaVersion": "1.5", "workflow": {
///     "specification": {"tasks": [{"id": "split"}, {"id": "join", "parents": ["split"]}]},
///     "execution": {"tasks": [{"id": "split", "runtimeInSeconds": 12.5}]}
/// }}"#;
/// let text = import(instance.as_bytes(), &ImportOptions::default())?;
/// let file = parse(&text, Format::Toml, "blast.toml").expect("it can be run as it is");
/// assert_eq!(file.tasks[1].dependencies, ["split"]);
/// # Ok::<(), ImportError>(())
/// ```
///
/// # Errors
/// See [`ImportError`]; the input is refused as a whole.
pub fn import(json: &[u8], options: &ImportOptions) -> Result<String, ImportError> {
    let scale = options.time_scale;
    if !(scale.is_finite() && scale >= 0.0) {
        return Err(ImportError::InvalidTimeScale(scale));
    }
    let peers = u32::try_from(options.peers).ok();
    let Some(peers) = peers.filter(|count| (1..=MAX_PEERS).contains(count)) else {
        return Err(ImportError::InvalidPeers(options.peers));
    };

    let mut root: Value = serde_json::from_slice(json).map_err(ImportError::NotJson)?;
    check_version(&root)?;
    let mut workflow = take(&mut root, "workflow").ok_or(ImportError::Missing("workflow"))?;
    let specified = specified_tasks(&mut workflow)?;
    let (runtimes, recorded) = runtimes(&mut workflow, &specified)?;

    let mut tasks = Vec::with_capacity(specified.len());
    let mut without = 0usize;
    for (task, runtime) in specified.iter().zip(&runtimes) {
        without += usize::from(runtime.is_none());
        tasks.push(swarm_task(task, runtime.as_ref(), scale)?);
    }
    check_graph(&tasks)?;

    let name = root.get("name").and_then(Value::as_str);
    let id = swarm_id(options, name)?;
    let file = SwarmFile {
        swarm: Swarm { id, ..Swarm::default() },
        peers: vec![shell_peers(peers)],
        tasks,
        ..SwarmFile::default()
    };
    let mut text = header(name, &file, scale, recorded, without);
    text.push_str(&write(&file)?);
    Ok(text)
}

fn check_version(root: &Value) -> Result<(), ImportError> {
    if !root.is_object() {
        return Err(ImportError::Missing("object at the top"));
    }
    match root.get("schemaVersion") {
        Some(Value::String(version)) if version == SCHEMA_VERSION => Ok(()),
        Some(other) => Err(ImportError::SchemaVersion { found: other.to_string() }),
        None => Err(ImportError::SchemaVersion { found: "nothing".to_owned() }),
    }
}

/// Takes a part out of an object, so that it need not be copied.
fn take(object: &mut Value, key: &str) -> Option<Value> {
    object.get_mut(key).map(Value::take).filter(|part| !part.is_null())
}

fn specified_tasks(workflow: &mut Value) -> Result<Vec<Specified>, ImportError> {
    const PART: &str = "workflow.specification.tasks";
    let mut specification = take(workflow, "specification").ok_or(ImportError::Missing("workflow.specification"))?;
    let tasks = take(&mut specification, "tasks").ok_or(ImportError::Missing(PART))?;
    let tasks: Vec<Specified> =
        serde_json::from_value(tasks).map_err(|error| ImportError::Shape { part: PART, error })?;
    let mut seen = HashSet::with_capacity(tasks.len());
    for task in &tasks {
        let id = || task.id.clone();
        check_id(&task.id).map_err(|error| ImportError::InvalidId { id: id(), error })?;
        if !seen.insert(task.id.as_str()) {
            return Err(ImportError::DuplicateTask { id: id(), part: PART });
        }
    }
    Ok(tasks)
}

/// The recorded runtime of each task, and whether the instance has executions at all.
fn runtimes(workflow: &mut Value, specified: &[Specified]) -> Result<(Vec<Option<Value>>, bool), ImportError> {
    const PART: &str = "workflow.execution.tasks";
    let execution = take(workflow, "execution");
    let Some(executed) = execution.and_then(|mut part| take(&mut part, "tasks")) else {
        return Ok((vec![None; specified.len()], false));
    };
    let executed: Vec<Executed> =
        serde_json::from_value(executed).map_err(|error| ImportError::Shape { part: PART, error })?;
    let ids = specified.iter().map(|task| task.id.as_str());
    let index: HashMap<&str, usize> = ids.zip(0..).collect();
    let mut runtimes = vec![None; specified.len()];
    let mut seen = vec![false; specified.len()];
    for task in executed {
        let Some(number) = index.get(task.id.as_str()).copied() else {
            return Err(ImportError::UnknownExecution(task.id));
        };
        if std::mem::replace(&mut seen[number], true) {
            return Err(ImportError::DuplicateTask { id: task.id, part: PART });
        }
        runtimes[number] = task.runtime.filter(|runtime| !runtime.is_null());
    }
    Ok((runtimes, true))
}

fn swarm_task(specified: &Specified, runtime: Option<&Value>, scale: f64) -> Result<Task, ImportError> {
    let seconds = match runtime {
        None => 0.0,
        Some(runtime) => {
            // Some writers put what JSON has no number for into a string: "NaN".
            let seconds = runtime.as_f64().filter(|seconds| *seconds >= 0.0);
            let scaled = seconds.map(|seconds| seconds * scale);
            scaled.filter(|seconds| *seconds <= MAX_SECONDS).ok_or_else(|| ImportError::InvalidRuntime {
                task: specified.id.clone(),
                runtime: runtime.to_string(),
            })?
        }
    };
    let mut task = Task::new(specified.id.as_str());
    let name = specified.name.as_deref().unwrap_or(&specified.id);
    let sort = without_number(name);
    if check_id(sort).is_ok() {
        sort.clone_into(&mut task.task_type);
    }
    task.required_capabilities = vec![CAPABILITY.to_owned()];
    let mut seen = HashSet::with_capacity(specified.parents.len());
    let parents = specified.parents.iter();
    task.dependencies = parents.filter(|parent| seen.insert(*parent)).cloned().collect();
    task.run = Some(sleep(seconds));
    Ok(task)
}

/// `true` for nothing, else a sleep in whole milliseconds: finer ones are lost in starting a
/// process. What is more than nothing stays at least a millisecond.
fn sleep(seconds: f64) -> String {
    if seconds <= 0.0 {
        return "true".to_owned();
    }
    let text = format!("{:.3}", seconds.max(0.001));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("sleep {text}")
}

/// The name without the number that makes it one task's own: `_ID0000012`, `_12`.
fn without_number(name: &str) -> &str {
    let without = name.rsplit_once('_').and_then(|(sort, number)| {
        let digits = number.strip_prefix("ID").unwrap_or(number);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        (is_number && !sort.is_empty()).then_some(sort)
    });
    without.unwrap_or(name)
}

fn check_graph(tasks: &[Task]) -> Result<(), ImportError> {
    let ids = tasks.iter().map(|task| task.id.as_str());
    let index: HashMap<&str, u32> = ids.zip(0..).collect();
    let mut unknown = None;
    let graph = Graph::of(tasks, &index, |task, parent| {
        unknown.get_or_insert((task, parent));
    });
    if let Some((task, parent)) = unknown {
        return Err(ImportError::UnknownParent { task: tasks[task].id.clone(), parent: parent.to_owned() });
    }
    match graph.cycles(1).first() {
        None => Ok(()),
        Some(cycle) => {
            let text = cycle_text(cycle, |task| &tasks[task as usize].id);
            Err(ImportError::Cycle(text))
        }
    }
}

/// The id asked for, else the instance's name if it can be an id, else none (the file's name).
fn swarm_id(options: &ImportOptions, name: Option<&str>) -> Result<String, ImportError> {
    if let Some(id) = &options.id {
        return match check_id(id) {
            Ok(()) => Ok(id.clone()),
            Err(error) => Err(ImportError::InvalidSwarmId { id: id.clone(), error }),
        };
    }
    let name = name.filter(|name| check_id(name).is_ok());
    Ok(name.unwrap_or_default().to_owned())
}

fn shell_peers(count: u32) -> Peer {
    Peer {
        id: CAPABILITY.to_owned(),
        count: Some(count),
        capabilities: vec![CAPABILITY.to_owned()],
        max_concurrent_tasks: Some(1),
        token_budget: None,
        wake_interval: None,
        workspace: Workspace::default(),
        agent: Agent::default(),
    }
}

/// The comment that says where the file comes from.
fn header(name: Option<&str>, file: &SwarmFile, scale: f64, recorded: bool, without: usize) -> String {
    let edges: usize = file.tasks.iter().map(|task| task.dependencies.len()).sum();
    let mut text = String::new();
    // Debug escapes what would end the comment.
    let name = name.map_or_else(|| "without a name".to_owned(), |name| format!("{name:?}"));
    let tasks = file.tasks.len();
    let _ = writeln!(text, "# Imported from a WfFormat {SCHEMA_VERSION} instance: {name}");
    let _ = writeln!(text, "# {tasks} tasks, {edges} dependencies; recorded seconds × {scale} = seconds of sleep");
    if !recorded {
        let _ = writeln!(text, "# The instance records no execution: every task counts as 0 seconds");
    } else if without > 0 {
        let _ = writeln!(text, "# Tasks without a recorded runtime, counted as 0 seconds: {without}");
    }
    text.push('\n');
    text
}

/// The swarm file with only what is not a default, so that a person can read it.
fn write(file: &SwarmFile) -> Result<String, ImportError> {
    #[derive(serde::Serialize)]
    struct Written<'a> {
        #[serde(skip_serializing_if = "is_empty_swarm")]
        swarm: WrittenSwarm<'a>,
        peers: Vec<WrittenPeer<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tasks: Vec<WrittenTask<'a>>,
    }
    #[derive(serde::Serialize)]
    struct WrittenSwarm<'a> {
        id: &'a str,
    }
    #[derive(serde::Serialize)]
    struct WrittenPeer<'a> {
        id: &'a str,
        count: Option<u32>,
        capabilities: &'a [String],
        max_concurrent_tasks: Option<u32>,
    }
    #[derive(serde::Serialize)]
    struct WrittenTask<'a> {
        id: &'a str,
        r#type: &'a str,
        required_capabilities: &'a [String],
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        dependencies: &'a [String],
        run: Option<&'a str>,
    }
    fn is_empty_swarm(swarm: &WrittenSwarm<'_>) -> bool {
        swarm.id.is_empty()
    }
    let peers = file.peers.iter().map(|peer| WrittenPeer {
        id: &peer.id,
        count: peer.count,
        capabilities: &peer.capabilities,
        max_concurrent_tasks: peer.max_concurrent_tasks,
    });
    let tasks = file.tasks.iter().map(|task| WrittenTask {
        id: &task.id,
        r#type: &task.task_type,
        required_capabilities: &task.required_capabilities,
        dependencies: &task.dependencies,
        run: task.run.as_deref(),
    });
    let written =
        Written { swarm: WrittenSwarm { id: &file.swarm.id }, peers: peers.collect(), tasks: tasks.collect() };
    Ok(toml::to_string(&written)?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::super::{Format, check, parse};
    use super::*;
    use serde_json::json;

    fn instance(tasks: &Value, executed: &Value) -> Value {
        json!({
            "name": "made by hand", "schemaVersion": "1.5",
            "workflow": {"specification": {"tasks": tasks}, "execution": {"tasks": executed}}
        })
    }

    fn run(instance: &Value, options: &ImportOptions) -> Result<String, ImportError> {
        import(instance.to_string().as_bytes(), options)
    }

    fn error(instance: &Value) -> String {
        run(instance, &ImportOptions::default()).unwrap_err().to_string()
    }

    #[test]
    fn everything_comes_back_when_the_result_is_read() {
        // Children before parents, a parent twice, odd characters, no runtime, runtime 0 and tiny.
        let tasks = json!([
            {"id": "join \"1\" = [x]", "name": "join", "parents": ["blur_ID0000012", "a'b\\c_12", "blur_ID0000012"]},
            {"id": "blur_ID0000012", "name": "blur_ID0000012", "parents": ["größe # 3"], "children": []},
            {"id": "a'b\\c_12", "name": "a'b\\c_12", "parents": ["größe # 3"]},
            {"id": "größe # 3", "name": "größe", "parents": []},
            {"id": "last", "parents": ["join \"1\" = [x]"]},
            {"id": "-ID", "name": "x"},
        ]);
        let executed = json!([
            {"id": "blur_ID0000012", "runtimeInSeconds": 12.3},
            {"id": "a'b\\c_12", "runtimeInSeconds": 0},
            {"id": "größe # 3", "runtimeInSeconds": 0.0001},
            {"id": "last", "runtimeInSeconds": null},
        ]);
        let mut instance = instance(&tasks, &executed);
        assert!(matches!(run(&instance, &ImportOptions::default()).unwrap_err(), ImportError::InvalidId { .. }));
        let list = instance.pointer_mut("/workflow/specification/tasks").unwrap();
        list.as_array_mut().unwrap().pop();

        let options = ImportOptions { peers: 3, ..ImportOptions::default() };
        let text = run(&instance, &options).unwrap();
        assert!(text.contains("# Tasks without a recorded runtime, counted as 0 seconds: 2\n"));
        let file = parse(&text, Format::Toml, "x.toml").unwrap();
        assert_eq!(file.swarm.id, "made by hand");
        assert_eq!(file.peer_count(), 3);
        assert_eq!(file.peers[0].slots(&file.mesh), 1);
        let rows: Vec<_> = file
            .tasks
            .iter()
            .map(|task| {
                assert_eq!(task.required_capabilities, ["sh"]);
                let dependencies = task.dependencies.join("|");
                (task.id.as_str(), task.task_type.as_str(), dependencies, task.run.as_deref().unwrap())
            })
            .collect();
        let row = |id, sort, dependencies: &str, line| (id, sort, dependencies.to_owned(), line);
        assert_eq!(
            rows,
            [
                row("join \"1\" = [x]", "join", "blur_ID0000012|a'b\\c_12", "true"),
                row("blur_ID0000012", "blur", "größe # 3", "sleep 0.123"),
                row("a'b\\c_12", "a'b\\c", "größe # 3", "true"),
                row("größe # 3", "größe", "", "sleep 0.001"),
                row("last", "last", "join \"1\" = [x]", "true"),
            ]
        );
        let report = check(&file);
        assert!(report.can_finish);
        assert_eq!((report.critical_path, report.dependencies), (4, 5));
    }

    #[test]
    fn the_example_is_imported() {
        let json = include_bytes!("../../../../examples/workflow/diamond.json");
        let text = import(json, &ImportOptions::default()).unwrap();
        let file = parse(&text, Format::Toml, "diamond.toml").unwrap();
        assert_eq!(file.swarm.id, "diamond");
        assert_eq!(check(&file).critical_path, 4);
        assert_eq!(file.tasks[1].task_type, "blur");
        assert!(!text.contains("without a recorded runtime"));
    }

    #[test]
    fn options_are_checked_and_used() {
        let one = instance(&json!([{"id": "a"}]), &json!([{"id": "a", "runtimeInSeconds": 7}]));
        let with = |time_scale, peers, id: Option<&str>| {
            let id = id.map(str::to_owned);
            run(&one, &ImportOptions { time_scale, peers, id })
        };
        assert!(with(1.0, 1, None).unwrap().contains("run = \"sleep 7\""));
        assert!(with(0.0, 1, None).unwrap().contains("run = \"true\""));
        assert!(with(0.0, 1, Some("my id")).unwrap().contains("id = \"my id\""));
        assert!(matches!(with(-1.0, 1, None), Err(ImportError::InvalidTimeScale(_))));
        assert!(matches!(with(f64::NAN, 1, None), Err(ImportError::InvalidTimeScale(_))));
        assert!(matches!(with(1e9, 1, None), Err(ImportError::InvalidRuntime { .. })));
        assert!(matches!(with(1.0, 0, None), Err(ImportError::InvalidPeers(0))));
        assert!(matches!(with(1.0, 1, Some("-x")), Err(ImportError::InvalidSwarmId { .. })));
    }

    #[test]
    fn instances_that_are_none() {
        let not_json = import(b"{", &ImportOptions::default()).unwrap_err();
        assert!(not_json.to_string().starts_with("not JSON: EOF"));
        assert_eq!(error(&json!([])), "no object at the top; expected a WfFormat 1.5 instance");
        assert_eq!(error(&json!({})), "found schemaVersion nothing, expected \"1.5\"");
        assert_eq!(error(&json!({"schemaVersion": "1.4"})), "found schemaVersion \"1.4\", expected \"1.5\"");
        let missing = error(&json!({"schemaVersion": "1.5"}));
        assert!(missing.starts_with("no workflow;"));
        let missing = error(&json!({"schemaVersion": "1.5", "workflow": {}}));
        assert!(missing.starts_with("no workflow.specification;"));
        let missing = error(&json!({"schemaVersion": "1.5", "workflow": {"specification": {}}}));
        assert!(missing.starts_with("no workflow.specification.tasks;"));
        let tasks = |tasks| error(&instance(&tasks, &json!([])));
        assert!(tasks(json!([{}])).contains("missing field `id`"));
        assert_eq!(
            tasks(json!([{"id": "a", "parents": ["b"]}])),
            "task \"a\" has the parent \"b\", which is not a task of the workflow"
        );
        assert_eq!(
            tasks(json!([{"id": "a", "parents": ["b"]}, {"id": "b", "parents": ["a"]}])),
            "tasks wait for each other: a → b → a"
        );
        assert!(tasks(json!([{"id": "a"}, {"id": "a"}])).contains("stands twice in workflow.spec"));
        let executed = |runs| error(&instance(&json!([{"id": "a"}]), &runs));
        for bad in [json!(-1), json!("NaN"), json!([]), json!(1e300)] {
            let message = executed(json!([{"id": "a", "runtimeInSeconds": bad}]));
            assert!(message.starts_with("task \"a\" has the runtime "), "{message}");
        }
        assert!(executed(json!([{"id": "z"}])).contains("does not have"));
        assert!(executed(json!([{"id": "a"}, {"id": "a"}])).contains("twice in workflow.exec"));
    }

    #[test]
    fn an_instance_without_execution_is_one_of_zero_seconds() {
        let mut value = instance(&json!([{"id": "a"}]), &json!([]));
        value["workflow"].as_object_mut().unwrap().remove("execution");
        value["name"] = json!("two\nlines");
        let text = run(&value, &ImportOptions::default()).unwrap();
        assert!(text.contains("records no execution"));
        assert_eq!(parse(&text, Format::Toml, "stem.toml").unwrap().swarm.id, "stem");
    }
}
