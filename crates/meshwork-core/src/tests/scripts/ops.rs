//! Sentences that decide something, in both kinds of scripts. Who says it, and under which grant, is found out
//! from the swarm where the sentence does not say it.

use super::sentence::{Error, Sentence, names};
use super::trace::{attempt_outcome, down_reason, pause_reason};
use crate::tests::mesh::{part, peer, returned, submission, task};
use crate::{
    Author, Config, DependencyPolicy, Grant, Op, Payload, PeerSpec, Position, Returned, Review, Submission, Swarm,
    TaskNo, TaskSpec, Tokens, VERSION, Verify,
};

/// `5.0`, as traces show a position; `none` is before all.
pub(super) struct Place(pub(super) Position);

impl std::str::FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "none" {
            return Ok(Self(Position::START));
        }
        let (seq, index) = text.split_once('.').ok_or("a position is like 5.0")?;
        Ok(Self(Position::new(seq.parse()?, index.parse()?)))
    }
}

/// A decision; the node that it falls to unless somebody else is named.
pub(super) type Decision = (Op, Option<Author>);

/// Reads what is to be decided. Nothing of the sentence is left.
pub(super) fn decision(said: &mut Sentence, swarm: &Swarm) -> Result<Decision, Error> {
    let verb = said.word("what is decided")?;
    let decision = match verb.as_str() {
        "open" | "configure" | "join" | "lost" | "alive" | "leave" => of_node(&verb, said, swarm)?,
        "peer" | "down" | "pause" | "resume" => of_peer(&verb, said, swarm)?,
        "submit" | "part" | "children" => submit(&verb, said, swarm)?,
        "seal" => {
            let open = swarm.round().map_or(0, |round| round.number);
            let round = if said.is_empty() { open } else { said.word("a round")?.parse()? };
            (Op::Seal { round }, None)
        }
        "due" => (due(said, swarm)?, None),
        "rebalance" => (Op::Rebalance, None),
        _ => of_task(&verb, said, swarm)?,
    };
    said.end()?;
    Ok(decision)
}

fn of_node(verb: &str, said: &mut Sentence, swarm: &Swarm) -> Result<Decision, Error> {
    let version = said.value("version")?.unwrap_or(VERSION);
    Ok(match verb {
        "open" => {
            let (log_id, swarm_id) = ("log".to_owned(), "swarm".to_owned());
            (Op::Open { log_id, swarm_id, config: config(said)?, version }, None)
        }
        "configure" => (Op::Configure { config: config(said)? }, None),
        "join" => {
            let name = said.word("the name of a node")?;
            let replaces = said.value::<Place>("replaces")?.map_or(swarm.last_incarnation(&name), |place| place.0);
            let sessions = said.value("sessions")?.unwrap_or(1);
            let stranger = Author { node: name, incarnation: Position::START };
            (Op::Join { replaces, version, sessions }, Some(stranger))
        }
        "lost" => {
            let lost = author(&said.word("the name of a node")?, swarm)?.incarnation;
            let known = swarm.node_no(lost).and_then(|no| swarm.node(no));
            let last = known.map_or(Position::START, |node| node.heard);
            let heard = said.value::<Place>("heard")?.map_or(last, |place| place.0);
            let others = swarm.present_nodes().map(|(_, node)| node).find(|node| node.incarnation != lost);
            let by = others.map(|node| Author { node: node.name.to_string(), incarnation: node.incarnation });
            (Op::NodeLost { incarnation: lost, heard }, by)
        }
        "leave" => (Op::Leave, Some(author(&said.word("the name of a node")?, swarm)?)),
        _ => (Op::Alive, None),
    })
}

/// Settings by name, the rest as they are by default.
pub(super) fn config(said: &mut Sentence) -> Result<Config, Error> {
    let mut config = Config::default();
    for (key, field) in [
        ("ageing", &mut config.ageing),
        ("retry-backoff", &mut config.retry_backoff_ms),
        ("crash-backoff", &mut config.crash_backoff_ms),
        ("backoff-max", &mut config.backoff_max_ms),
    ] {
        *field = said.value(key)?.unwrap_or(*field);
    }
    let limits = &mut config.limits;
    for (key, field) in [
        ("tasks", &mut limits.tasks),
        ("depth", &mut limits.depth),
        ("children", &mut limits.children),
        ("crashes", &mut limits.crashes),
        ("interruptions", &mut limits.interruptions),
        ("retries", &mut limits.retries),
        ("peers", &mut limits.peers),
        ("capabilities", &mut limits.capabilities),
        ("dependencies", &mut limits.dependencies),
        ("backlog", &mut config.backlog),
    ] {
        *field = said.value(key)?.unwrap_or(*field);
    }
    config.token_budget = said.value("budget")?;
    config.load_balancing = said.value("balancing")?.unwrap_or(true);
    Ok(config)
}

fn of_peer(verb: &str, said: &mut Sentence, swarm: &Swarm) -> Result<Decision, Error> {
    let id = said.word("the id of a peer")?;
    let known = swarm.find_peer(&id).and_then(|no| swarm.peer(no));
    let host = known.and_then(|peer| swarm.node(peer.node));
    let host = host.map(|node| Author { node: node.name.to_string(), incarnation: node.incarnation });
    Ok(match verb {
        "peer" => {
            let host = if said.takes("on") { Some(author(&said.word("a node")?, swarm)?) } else { host };
            (Op::PeerUp(peer_spec(&id, said)?), host)
        }
        "down" => {
            let why = said.word("why it is down")?;
            let why = down_reason(&why).ok_or_else(|| said.wrong("expected left, died or shutdown"))?;
            (Op::PeerDown { peer: id, why }, host)
        }
        "pause" => {
            let reason = said.word("why it is paused")?;
            let reason = pause_reason(&reason).ok_or_else(|| said.wrong("expected idle, user, rate-limit …"))?;
            (Op::Pause { peer: id, reason }, host)
        }
        _ => (Op::Resume { peer: id }, host),
    })
}

/// What a peer is like: `slots=2 can="a b" sessions=yes budget=100`.
pub(super) fn peer_spec(id: &str, said: &mut Sentence) -> Result<PeerSpec, Error> {
    let can = names(&said.value::<String>("can")?.unwrap_or_default());
    let can: Vec<&str> = can.iter().map(String::as_str).collect();
    Ok(PeerSpec {
        uses_session: said.value::<String>("sessions")?.is_some_and(|yes| yes == "yes"),
        token_budget: said.value("budget")?,
        ..peer(id, &can, said.value("slots")?.unwrap_or(1))
    })
}

/// `submit a b`, `submit a and b after a`, `part a`, `submit nothing`, `children of a are b c`.
fn submit(verb: &str, said: &mut Sentence, swarm: &Swarm) -> Result<Decision, Error> {
    if verb == "children" {
        if !said.takes("of") {
            return Err(said.wrong("expected: children of TASK are …"));
        }
        let id = said.word("the id of the parent")?;
        let (no, grant, by) = held(&id, said, swarm)?;
        if !said.takes("are") {
            return Err(said.wrong("expected: children of TASK are …"));
        }
        let op = Submission { tasks: specs(said)?, parent: Some((no, grant)), more: false };
        return Ok((Op::Submit(op), by));
    }
    let tasks = if said.takes("nothing") { Vec::new() } else { specs(said)? };
    Ok((if verb == "part" { part(tasks) } else { submission(tasks) }, None))
}

fn specs(said: &mut Sentence) -> Result<Vec<TaskSpec>, Error> {
    let mut tasks = Vec::new();
    loop {
        let ids = said.words_until(&["after", "and"]);
        if ids.is_empty() {
            return Err(said.wrong("expected the id of a task"));
        }
        let after = if said.takes("after") { said.words_until(&["and"]) } else { Vec::new() };
        let mut spec = TaskSpec { dependencies: after, ..task("") };
        while let Some((key, value)) = said.pair() {
            amend(&mut spec, &key, &value).map_err(|error| said.wrong(&error.to_string()))?;
        }
        tasks.extend(ids.into_iter().map(|id| TaskSpec { id, ..spec.clone() }));
        if !said.takes("and") {
            return Ok(tasks);
        }
    }
}

fn amend(spec: &mut TaskSpec, key: &str, value: &str) -> Result<(), Error> {
    match key {
        "retries" => spec.retries = value.parse()?,
        "priority" => spec.priority = value.parse()?,
        "kind" => value.clone_into(&mut spec.kind),
        "needs" => spec.requires = names(value),
        "about" => value.clone_into(&mut spec.description),
        "bytes" => spec.description = "x".repeat(value.parse()?),
        "verify" => spec.verify = Some(Verify { run: Some(value.to_owned()), artifacts: Vec::new() }),
        // `review=2/3`: two approvals of three.
        "review" => {
            let (approvals, of) = value.split_once('/').ok_or("a review is like 2/3")?;
            let (approvals, of) = (approvals.parse()?, of.parse()?);
            spec.review = Some(Review { approvals, of, ..Review::default() });
        }
        "else" => {
            spec.on_dependency_failure = match value {
                "fail" => DependencyPolicy::Fail,
                "skip" => DependencyPolicy::Skip,
                "run" => DependencyPolicy::Run,
                other => return Err(format!("expected fail, skip or run, not {other}").into()),
            }
        }
        other => return Err(format!("a task has no {other}").into()),
    }
    Ok(())
}

fn of_task(verb: &str, said: &mut Sentence, swarm: &Swarm) -> Result<Decision, Error> {
    let id = said.word("the id of a task")?;
    let (no, grant, by) = held(&id, said, swarm)?;
    let op = match verb {
        "return" => {
            let word = said.word("how it ended")?;
            let outcome = attempt_outcome(&word).ok_or_else(|| said.wrong("expected ok, failed, timed-out, lost …"))?;
            let messages_open = said.takes_all("with open messages");
            let usage = Tokens { input: said.value("tokens")?.unwrap_or(0), output: 0 };
            let ran_ms = said.value("ran")?.unwrap_or(1_000);
            let result = Some(Payload::Json("1".to_owned()));
            Op::Return(Returned { messages_open, usage, ran_ms, result, ..returned(no, grant, outcome) })
        }
        "settled" => Op::Settled { task: no, grant },
        "wait" => {
            let children = if said.takes("for") { said.words_until(&[]) } else { Vec::new() };
            let children = children.iter().map(|child| number(child, swarm)).collect::<Result<_, _>>()?;
            Op::Wait { task: no, grant, children }
        }
        "checked" => {
            let passed = match said.word("passed or failed")?.as_str() {
                "passed" => true,
                "failed" => false,
                _ => return Err(said.wrong("expected passed or failed")),
            };
            Op::Checked { task: no, grant, passed, evidence: String::new(), ran_ms: 1 }
        }
        "cancel" => return Ok((Op::Cancel { task: no }, None)),
        "usage" => {
            let tokens = Tokens { input: said.word("a number of tokens")?.parse()?, output: 0 };
            Op::Usage { task: no, grant, tokens }
        }
        "progress" => {
            let bytes = said.value::<usize>("bytes")?.map(|bytes| "x".repeat(bytes));
            let text = bytes.map_or_else(|| said.word("a text"), Ok)?;
            Op::Progress { task: no, grant, text }
        }
        other => return Err(said.wrong(&format!("nobody can {other}"))),
    };
    Ok((op, by))
}

/// The wait of this task's back-off, or the wait with this number.
fn due(said: &mut Sentence, swarm: &Swarm) -> Result<Op, Error> {
    let of = said.word("a task that waits, or the number of a wait")?;
    let number = of.parse().ok().map(crate::WaitNo);
    let of_task = swarm.find_task(&of);
    let open = swarm.open_waits().find(|(_, wait)| Some(wait.task) == of_task).map(|(no, _)| no);
    let wait = open.or(number).ok_or_else(|| said.wrong("no such wait"))?;
    Ok(Op::Due { wait })
}

/// A task's number, its present or last grant unless another is named, and the node that holds it.
fn held(id: &str, said: &mut Sentence, swarm: &Swarm) -> Result<(TaskNo, Grant, Option<Author>), Error> {
    let no = number(id, swarm)?;
    let named = said.value::<Place>("grant")?;
    let Some(task) = swarm.task(no) else {
        return Ok((no, named.map_or(Position::START, |place| place.0), None));
    };
    let (peer, grant) = task.phase.grant().unwrap_or((task.last_peer, task.last_grant));
    let node = swarm.peer(peer).and_then(|peer| swarm.node(peer.node));
    let by = node.map(|node| Author { node: node.name.to_string(), incarnation: node.incarnation });
    Ok((no, named.map_or(grant, |place| place.0), by))
}

/// An id, or a number where no task has that id.
pub(super) fn number(id: &str, swarm: &Swarm) -> Result<TaskNo, Error> {
    let known = swarm.find_task(id).or_else(|| id.parse().ok().map(TaskNo));
    known.ok_or_else(|| format!("there is no task {id:?}").into())
}

/// `n1`: its last incarnation. `n1@2.0`: that one.
pub(super) fn author(text: &str, swarm: &Swarm) -> Result<Author, Error> {
    let (node, incarnation) = match text.split_once('@') {
        Some((node, at)) => (node, at.parse::<Place>()?.0),
        None => (text, swarm.last_incarnation(text)),
    };
    Ok(Author { node: node.to_owned(), incarnation })
}
