//! What goes over the control socket.

use crate::endpoint::{ErrorBody, TaskRequest};
use serde::{Deserialize, Serialize};

/// Bytes of one line, either way: as many as the tool endpoint takes for tasks.
pub(super) const LINE_BYTES: usize = crate::endpoint::TASKS_BYTES;

/// What is asked for.
///
/// ```
/// use meshwork::control::Request;
///
/// let pause = Request::Pause { peer: "ada".to_owned() };
/// assert_eq!(serde_json::to_string(&pause)?, r#"{"pause":{"peer":"ada"}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Tasks for the swarm; those without an id are called `task-1`, `task-2` …
    Submit {
        /// The tasks; each lists only dependencies that exist or stand earlier.
        tasks: Vec<TaskRequest>,
    },
    /// A task and its open descendants are to end.
    Cancel {
        /// Its id.
        id: String,
    },
    /// A peer gets no new work, and stands still.
    Pause {
        /// Its id.
        peer: String,
    },
    /// A paused peer goes on.
    Resume {
        /// Its id.
        peer: String,
    },
    /// Waiting tasks are handed to peers with less to do.
    Rebalance,
    /// Who is there?
    Ping,
    /// Tell me whenever the log has grown. Nothing else can be asked on this connection any more.
    Follow,
}

/// What is answered.
///
/// ```
/// use meshwork::control::Answer;
///
/// let answer: Answer = serde_json::from_str(r#"{"decided":{"seq":12}}"#)?;
/// assert_eq!(answer, Answer::Decided { seq: 12 });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The tasks are in the log, in the order of the request.
    Submitted {
        /// Their ids.
        tasks: Vec<Submitted>,
    },
    /// It was decided, at the position with this sequence number.
    Decided {
        /// Sequence number of the batch.
        seq: u64,
    },
    /// The node.
    #[serde(rename_all = "camelCase")]
    Pong {
        /// Its process.
        pid: u32,
        /// The swarm's id.
        swarm_id: String,
        /// Sequence number of the last batch applied.
        seq: u64,
    },
    /// It was not done.
    Error(ErrorBody),
}

/// One task of [`Answer::Submitted`].
///
/// ```
/// use meshwork::control::{Answer, Submitted};
///
/// let answer: Answer = serde_json::from_str(r#"{"submitted":{"tasks":[{"id":"task-1"}]}}"#)?;
/// assert_eq!(answer, Answer::Submitted { tasks: vec![Submitted { id: "task-1".to_owned() }] });
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Its id.
    pub id: String,
}

/// What a follower is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Grown {
    /// Sequence number of the last batch applied.
    pub(super) seq: u64,
}

/// The value as one line. JSON that was handed over as it is may be spread over lines: outside of texts, where alone
/// they can stand, line ends are spaces.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}
