//! A schedule as a play: when, who, what, with names instead of numbers.

use crate::node::Answer;
use crate::{Op, Position, TaskNo, WaitNo};

/// An entry in words.
pub(crate) fn op(op: &Op, task: &dyn Fn(TaskNo) -> String, wait: &dyn Fn(WaitNo) -> Option<String>) -> String {
    match op {
        Op::Open { .. } => "open the log".to_owned(),
        Op::Configure { .. } => "change the settings".to_owned(),
        Op::Join { replaces: Position::START, .. } => "join".to_owned(),
        Op::Join { replaces, .. } => format!("join in place of {replaces}"),
        Op::NodeLost { incarnation, heard } => format!("node {incarnation} is lost, last heard at {heard}"),
        Op::Alive => "alive".to_owned(),
        Op::Leave => "leave".to_owned(),
        Op::PeerUp(spec) => format!("{} is up with {} slots", spec.id, spec.slots),
        Op::PeerDown { peer, why } => format!("{peer} is down: {why:?}"),
        Op::Pause { peer, reason } => format!("pause {peer}: {reason:?}"),
        Op::Resume { peer } => format!("resume {peer}"),
        Op::Submit(submission) => {
            let ids: Vec<&str> = submission.tasks.iter().map(|task| &*task.id).take(8).collect();
            let left = submission.tasks.len().saturating_sub(ids.len());
            let mut text = format!("submit {}", if ids.is_empty() { "nothing".to_owned() } else { ids.join(" ") });
            if left > 0 {
                text.push_str(&format!(" and {left} more"));
            }
            if let Some((parent, _)) = submission.parent {
                text.push_str(&format!(" as children of {}", task(parent)));
            }
            if submission.more {
                text.push_str(", more follows");
            }
            text
        }
        Op::Return(returned) => {
            let open = if returned.messages_open { ", messages open" } else { "" };
            format!("return {} ({}): {:?}{open}", task(returned.task), returned.grant, returned.outcome)
        }
        Op::Settled { task: no, grant } => format!("messages of {} ({grant}) are settled", task(*no)),
        Op::Wait { task: no, children, .. } if children.is_empty() => format!("{} waits for its children", task(*no)),
        Op::Wait { task: no, children, .. } => {
            let names: Vec<String> = children.iter().map(|child| task(*child)).collect();
            format!("{} waits for {}", task(*no), names.join(" "))
        }
        Op::Checked { task: no, grant, passed, .. } => {
            format!("evidence of {} ({grant}) {}", task(*no), if *passed { "holds" } else { "does not hold" })
        }
        Op::Cancel { task: no } => format!("cancel {}", task(*no)),
        Op::Seal { round } => format!("seal round {round}"),
        Op::Due { wait: no } => {
            let whose = wait(*no).unwrap_or_else(|| "nobody".to_owned());
            format!("the back-off of {whose} is over")
        }
        Op::Rebalance => "rebalance".to_owned(),
        Op::Usage { task: no, tokens, .. } => format!("{} has used {} tokens", task(*no), tokens.total()),
        Op::Progress { task: no, text, .. } => format!("{} says {text:?}", task(*no)),
    }
}

/// An answer in words.
pub(crate) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Accepted { position, .. } => format!("accepted at {position}"),
        Answer::Refused(refusal) => format!("refused, {refusal}"),
        Answer::TooLarge { found, most } => format!("too large, {found} of {most} bytes"),
        Answer::NodeLost => "undecided, the node lost its place".to_owned(),
    }
}
