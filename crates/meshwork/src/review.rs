//! What a review has to work with: nobody submitted it, so its text is made from the task that it reviews
//! and from what that returned; and how its vote is read from what it returns.

use meshwork_core::{Payload, Position, Returned, Swarm, TaskNo, TaskSpec};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Where the text of a task is found in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In the submission at this position, at this index.
    Submitted((Position, u32)),
    /// Nowhere as it stands: it is made from a task and its `Return`.
    Review {
        /// The review's own id.
        id: String,
        /// The attempt that it reviews.
        attempt: u32,
        /// Where the task that it reviews was submitted.
        task: (Position, u32),
        /// Where its `Return` lies.
        returned: Position,
    },
}

impl Source {
    /// That of a task; `None` for an unknown number.
    pub(crate) fn of(swarm: &Swarm, no: TaskNo) -> Option<Self> {
        let task = swarm.task(no)?;
        let Some(review) = task.reviews else { return Some(Self::Submitted(task.spec)) };
        let of = swarm.task(task.parent?)?;
        Some(Self::Review { id: task.id.to_string(), attempt: review.attempt, task: of.spec, returned: task.spec.0 })
    }
}

/// What a review is called for people.
pub(crate) fn title(task: &str, attempt: u32) -> String {
    format!("Review attempt {attempt} of task {task:?}")
}

/// A review as if it had been submitted. Its input is
/// `{"task": {"id", "type", "description", "input"?}, "attempt", "result"}`, where a result or an input that
/// is an artifact is `{"artifact": key, "bytes": n}`.
pub(crate) fn text_of(id: &str, attempt: u32, task: &TaskSpec, returned: &Returned) -> TaskSpec {
    let review = task.review.clone().unwrap_or_default();
    let mut reviewed = json!({ "id": task.id, "type": task.kind, "description": task.description });
    if let Some(input) = &task.input {
        reviewed["input"] = value_of(input);
    }
    let result = returned.result.as_ref().map_or(Value::Null, value_of);
    let about = if task.description.is_empty() { String::new() } else { format!(": {}", task.description) };
    let how = r#"The input holds the task and its result. Approve with the result {"approve": true}, or reject with {"approve": false, "reason": "why"}."#;
    TaskSpec {
        id: id.to_owned(),
        kind: "review".to_owned(),
        description: format!("{}{about}\n\n{how}", title(&task.id, attempt)),
        requires: review.requires,
        priority: task.priority,
        retries: task.retries,
        timeout_ms: task.timeout_ms,
        run: review.run,
        input: Some(Payload::Json(json!({ "task": reviewed, "attempt": attempt, "result": result }).to_string())),
        ..TaskSpec::default()
    }
}

/// JSON as JSON; what is not, as the text that it is.
fn value_of(payload: &Payload) -> Value {
    match payload {
        Payload::Json(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        Payload::Artifact { key, bytes } => json!({ "artifact": key, "bytes": bytes }),
    }
}

/// How a review voted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// It said so, or ended ok and said nothing else.
    Approve,
    /// It does not, and says why.
    Reject(Option<String>),
    /// It said something that is neither: its attempt has failed.
    Unclear(String),
}

/// The vote in what a review returned: JSON, or text whose last line may be JSON.
pub(crate) fn vote_of(output: &[u8]) -> Vote {
    let text = String::from_utf8_lossy(output);
    let whole = text.trim();
    let last = || whole.lines().next_back().and_then(json_in);
    // A string as a whole is an agent's text, as the endings of agents that speak prose are.
    match json_in(whole).or_else(last) {
        Some(json) => vote_in(&json),
        None => Vote::Approve,
    }
}

fn json_in(text: &str) -> Option<Box<RawValue>> {
    serde_json::from_str(text.trim()).ok()
}

fn vote_in(json: &RawValue) -> Vote {
    #[derive(Deserialize)]
    struct Said {
        approve: Option<Value>,
        reason: Option<Value>,
    }
    let text = json.get();
    if let Ok(Value::String(text)) = serde_json::from_str(text) {
        let last = text.trim().lines().next_back().and_then(json_in);
        return last.filter(|last| !last.get().starts_with('"')).map_or(Vote::Approve, |last| vote_in(&last));
    }
    if text == "false" {
        return Vote::Reject(None);
    }
    let Ok(Said { approve: Some(approve), reason }) = serde_json::from_str(text) else { return Vote::Approve };
    match approve {
        Value::Bool(true) => Vote::Approve,
        Value::Bool(false) => Vote::Reject(reason.map(|reason| match reason {
            Value::String(text) => text,
            other => other.to_string(),
        })),
        other => Vote::Unclear(format!("the review's \"approve\" is {other}, expected true or false")),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use meshwork_core::{AttemptOutcome, Grant, Review, Tokens};

    #[test]
    fn votes_are_read_from_json_and_from_the_last_line_of_text() {
        let reject = |why: &str| Vote::Reject(Some(why.to_owned()));
        let cases = [
            ("", Vote::Approve),
            ("true", Vote::Approve),
            ("null", Vote::Approve),
            ("fine by me", Vote::Approve),
            (r#"{"approve": true}"#, Vote::Approve),
            (r#"{"score": 3}"#, Vote::Approve),
            ("\"false alarm\"", Vote::Approve),
            ("false", Vote::Reject(None)),
            (" false \n", Vote::Reject(None)),
            (r#"{"approve": false}"#, Vote::Reject(None)),
            (r#"{"approve": false, "reason": "no tests"}"#, reject("no tests")),
            (r#"{"approve": false, "reason": ["a", 1]}"#, reject(r#"["a",1]"#)),
            ("looked at it\n{\"approve\": false, \"reason\": \"no tests\"}\n", reject("no tests")),
            ("\"looked at it\\n{\\\"approve\\\": false}\"", Vote::Reject(None)),
            ("{\"approve\": false}\nbut on second thought it is fine", Vote::Approve),
        ];
        for (said, vote) in cases {
            assert_eq!(vote_of(said.as_bytes()), vote, "{said}");
        }
        let unclear = vote_of(br#"{"approve": "no"}"#);
        assert_eq!(unclear, Vote::Unclear("the review's \"approve\" is \"no\", expected true or false".to_owned()));
        assert!(matches!(vote_of(br#"{"approve": null, "reason": "x"}"#), Vote::Approve));
    }

    #[test]
    fn a_review_is_told_what_was_to_be_done_and_what_came_out() {
        let review = Review { requires: vec!["judge".into()], approvals: 1, of: 2, run: Some("look".into()) };
        let task = TaskSpec {
            id: "a".into(),
            kind: "work".into(),
            description: "Mend the lock".into(),
            priority: 7,
            retries: 2,
            timeout_ms: Some(9),
            run: Some("mend".into()),
            input: Some(Payload::Json(r#"{"path":"src"}"#.into())),
            review: Some(review),
            ..TaskSpec::default()
        };
        let returned = Returned {
            task: TaskNo(0),
            grant: Grant::START,
            outcome: AttemptOutcome::Ok,
            result: Some(Payload::Artifact { key: "results/a/1".into(), bytes: 40_000 }),
            error: None,
            usage: Tokens::default(),
            started_ms: 0,
            ran_ms: 0,
            messages_open: false,
        };
        let text = text_of("a#review-3.1", 3, &task, &returned);
        assert!(
            text.description.starts_with("Review attempt 3 of task \"a\": Mend the lock\n"),
            "{}",
            text.description
        );
        let made = (text.kind.as_str(), text.priority, text.retries, text.timeout_ms, text.run.as_deref());
        assert_eq!(made, ("review", 7, 2, Some(9), Some("look")));
        assert_eq!((text.requires, text.verify, text.review), (vec!["judge".to_owned()], None, None));
        let Some(Payload::Json(input)) = text.input else { panic!("no input") };
        let expected = json!({
            "task": { "id": "a", "type": "work", "description": "Mend the lock", "input": { "path": "src" } },
            "attempt": 3,
            "result": { "artifact": "results/a/1", "bytes": 40_000 },
        });
        assert_eq!(serde_json::from_str::<Value>(&input).unwrap(), expected);
    }
}
