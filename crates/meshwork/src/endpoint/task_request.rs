//! A task as it is asked for over HTTP and by the control socket.

use super::failure::{ErrorBody, Failure};
use super::request;
use crate::file::{MAX_TIMEOUT_MS, OnDependencyFailure, Timespan};
use meshwork_core::{DependencyPolicy, Payload, TaskSpec, Verify};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes of JSON that one task may have; larger inputs are handed over as artifacts.
pub(crate) const TASK_BYTES: usize = 64 << 10;
/// Tasks of one request: larger submissions come in several.
pub(crate) const TASKS_A_REQUEST: usize = 1_000;
/// Bytes of a request for tasks, 16 MiB: room for 256 of the largest, or for the limit of smaller ones.
pub const TASKS_BYTES: usize = 16 << 20;

/// The priority of a task that names none.
const PRIORITY: u8 = 5;
/// The type of a task that names none.
const KIND: &str = "task";

/// A task that somebody asks for. Every field may be left out.
///
/// ```
/// use meshwork::endpoint::TaskRequest;
///
/// let json = r#"{"id": "test", "dependencies": ["build"], "timeout": "10m"}"#;
/// let task: TaskRequest = serde_json::from_str(json)?;
/// assert_eq!((task.id.as_deref(), task.priority), (Some("test"), None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskRequest {
    /// Unique in its round; one is made when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type; default `task`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// For people and agents.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Capabilities that one peer must have, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<String>,
    /// 1 to 10, 10 first; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Ids of tasks that must close first; they exist or stand earlier in the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// Further attempts after a failed one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// How long one attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timespan>,
    /// The line that a shell peer runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Any JSON, handed to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    /// What becomes of it when a dependency does not close ok; default `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_dependency_failure: Option<OnDependencyFailure>,
    /// Evidence before it counts as completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<crate::file::Verify>,
    /// Votes before it counts as completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<crate::file::Review>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TaskRequest {
    /// The task as the log has it. `id` is used when the request names none.
    fn into_spec(self, id: impl FnOnce() -> String) -> Result<TaskSpec, Failure> {
        let id = self.id.unwrap_or_else(id);
        let timeout_ms = self.timeout.map(Timespan::millis);
        if let Some(found) = timeout_ms
            && !(1..=MAX_TIMEOUT_MS).contains(&found)
        {
            let message = format!("the timeout of task {id:?} is {found} ms, expected 1 to {MAX_TIMEOUT_MS}");
            return Err(Failure::bad_request("BadTimeout", format!("{message}; nothing was changed")));
        }
        if self.run.as_ref().is_some_and(|line| line.contains('\0')) {
            let message = format!("the run line of task {id:?} holds a NUL character; nothing was changed");
            return Err(Failure::bad_request("BadRunLine", message));
        }
        let verify = self.verify.map(|verify| Verify { run: verify.run, artifacts: verify.artifacts });
        if verify.as_ref().is_some_and(|verify| verify.run.is_none() && verify.artifacts.is_empty()) {
            let message = format!("the evidence of task {id:?} is empty, expected `run` or `artifacts`");
            return Err(Failure::bad_request("EmptyVerify", format!("{message}; nothing was changed")));
        }
        Ok(TaskSpec {
            id,
            kind: self.kind.unwrap_or_else(|| KIND.to_owned()),
            description: self.description,
            requires: self.required_capabilities,
            priority: self.priority.unwrap_or(PRIORITY),
            dependencies: self.dependencies,
            retries: self.retries,
            timeout_ms,
            run: self.run,
            input: self.input.map(|json| Payload::Json(String::from(Box::<str>::from(json)))),
            on_dependency_failure: match self.on_dependency_failure.unwrap_or_default() {
                OnDependencyFailure::Fail => DependencyPolicy::Fail,
                OnDependencyFailure::Skip => DependencyPolicy::Skip,
                OnDependencyFailure::Run => DependencyPolicy::Run,
            },
            verify,
            review: self.review.as_ref().map(crate::file::Review::spec),
            prefers: None,
        })
    }
}

/// The tasks as the log has them; `ids` holds one for each that has none.
pub(crate) fn into_specs(tasks: Vec<TaskRequest>, ids: Vec<String>) -> Result<Vec<TaskSpec>, Failure> {
    let mut ids = ids.into_iter();
    let mut next = || ids.next().expect("an id was made for each task without one");
    tasks.into_iter().map(|task| task.into_spec(&mut next)).collect()
}

/// The tasks that a JSON text holds: one object, a list of them, or `{"tasks": [ … ]}`.
///
/// ```
/// use meshwork::endpoint::parse_tasks;
///
/// let tasks = parse_tasks(br#"{"tasks": [{"id": "build", "run": "make"}]}"#).expect("it is well formed");
/// assert_eq!(tasks[0].run.as_deref(), Some("make"));
/// assert!(parse_tasks(br#"{"tasks": [{"priorty": 3}]}"#).is_err(), "an unknown field");
/// ```
///
/// # Errors
/// What is wrong with it; over the limits of a request it is refused, too.
pub fn parse_tasks(json: &[u8]) -> Result<Vec<TaskRequest>, ErrorBody> {
    parse(json).map_err(|failure| failure.body)
}

/// The tasks of a request: one object, a list of them, or `{"tasks": [ … ]}`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<TaskRequest>, Failure> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        tasks: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Many<'a> {
        #[serde(borrow)]
        tasks: Vec<&'a RawValue>,
    }
    let texts: Vec<&RawValue> = if bytes.trim_ascii_start().starts_with(b"[") {
        request::json(bytes)?
    } else if request::json::<Probe<'_>>(bytes)?.tasks.is_some() {
        request::json::<Many<'_>>(bytes)?.tasks
    } else if bytes.trim_ascii().is_empty() {
        Vec::new()
    } else {
        vec![request::json(bytes)?]
    };
    check_number(texts.len())?;
    texts.into_iter().map(one).collect()
}

pub(crate) fn check_number(found: usize) -> Result<(), Failure> {
    match found {
        0 => Err(Failure::bad_request("NoTasks", "the request holds no task; nothing was changed")),
        1..=TASKS_A_REQUEST => Ok(()),
        _ => {
            let message =
                format!("the request holds {found} tasks, the limit is {TASKS_A_REQUEST}; nothing was changed");
            Err(Failure::too_large("TooManyTasks", message))
        }
    }
}

fn one(text: &RawValue) -> Result<TaskRequest, Failure> {
    let found = text.get().len();
    if found > TASK_BYTES {
        let message = format!(
            "a task has {found} bytes, the limit is {TASK_BYTES}: hand a larger input over as an artifact; nothing was \
             changed"
        );
        return Err(Failure::too_large("TaskTooLarge", message));
    }
    request::json(text.get().as_bytes())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn one_and_many_are_read_and_their_numbers_kept_as_written() {
        let one = parse(br#"{"id":"a","input":{"n":1e400},"timeout":"2m"}"#).unwrap();
        assert_eq!(one.len(), 1);
        let spec = one[0].clone().into_spec(|| unreachable!("it has an id")).unwrap();
        assert_eq!((&*spec.id, spec.priority, spec.timeout_ms), ("a", 5, Some(120_000)));
        assert_eq!(spec.input, Some(Payload::Json(r#"{"n":1e400}"#.to_owned())));
        for many in [&br#"[{"run":"a"},{"run":"b"}]"#[..], br#" {"tasks":[{"run":"a"},{"run":"b"}]}"#] {
            let runs: Vec<_> = parse(many).unwrap().into_iter().filter_map(|task| task.run).collect();
            assert_eq!(runs, ["a", "b"]);
        }
    }

    #[test]
    fn what_cannot_be_a_task_is_refused_by_name() {
        let huge = format!(r#"{{"run":"{}"}}"#, "x".repeat(TASK_BYTES));
        let many = format!("[{}]", vec!["{}"; TASKS_A_REQUEST + 1].join(","));
        for (json, code) in [
            ("", "NoTasks"),
            ("[]", "NoTasks"),
            (r#"{"runs":"x"}"#, "BadRequest"),
            (r#"{"tasks":[{}],"id":"a"}"#, "BadRequest"),
            (r#"{"priority":300}"#, "BadRequest"),
            (&huge, "TaskTooLarge"),
            (&many, "TooManyTasks"),
        ] {
            assert_eq!(parse(json.as_bytes()).unwrap_err().body.code, code, "{}", &json[..json.len().min(60)]);
        }
        let spec = |json: &str| parse(json.as_bytes()).unwrap().remove(0).into_spec(String::new);
        assert_eq!(spec(r#"{"timeout":"0s"}"#).unwrap_err().body.code, "BadTimeout");
        assert_eq!(spec(r#"{"verify":{}}"#).unwrap_err().body.code, "EmptyVerify");
    }
}
