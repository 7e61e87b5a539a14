//! Every stage and every outcome has an explanation, reached by operations as they come.

use super::mesh::{Mesh, part, returned, task};
use crate::task::Stage;
use crate::{
    AttemptOutcome, Config, DependencyPolicy, DownReason, Explanation, Limits, Op, Outcome, PauseReason, PeerSpec,
    PeerVerdict, Phase,
};
use std::collections::BTreeSet;

/// What was seen of the answers.
#[derive(Default)]
struct Seen {
    stages: BTreeSet<Stage>,
    outcomes: BTreeSet<Outcome>,
    reasons: BTreeSet<String>,
    verdicts: BTreeSet<String>,
}

impl Seen {
    /// Asks why a task is where it is; the sentence must read like this.
    #[track_caller]
    fn says(&mut self, mesh: &Mesh, id: &str, sentence: &str) {
        let answer = self.asks(mesh, id);
        assert_eq!(answer.reason.to_string(), sentence, "{id}");
    }

    #[track_caller]
    fn asks(&mut self, mesh: &Mesh, id: &str) -> Explanation {
        let phase = mesh.task(id).phase;
        let answer = mesh.swarm.explain(mesh.no(id)).unwrap();
        let text = answer.reason.to_string();
        assert!(!text.is_empty() && text == text.trim() && !text.contains("  "), "{text:?}");
        assert!(text.ends_with(|last: char| last.is_alphanumeric() || "\")".contains(last)), "{text:?}");
        assert_eq!((answer.task.as_str(), answer.state), (id, phase.word()));
        assert_eq!(answer.closed, phase.is_closed());
        assert!(answer.returned || !answer.settled, "what settled has returned: {answer:?}");
        assert!(answer.settled || answer.verified != Some(true), "what was verified has settled: {answer:?}");
        assert_eq!(answer.state == "completed", answer.outcome == Some(Outcome::Ok));
        self.stages.insert(phase.stage());
        self.outcomes.extend(answer.outcome);
        self.reasons.insert(variant(&answer.reason));
        self.verdicts.extend(answer.peers.iter().map(variant));
        answer
    }
}

/// The name of a variant, from its debug form.
fn variant(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").split([' ', '{', '(']).next().unwrap().to_owned()
}

#[test]
fn every_stage_every_outcome_and_every_reason_is_explained() {
    let mut seen = Seen::default();
    before_it_runs(&mut seen);
    who_could_run_it(&mut seen);
    while_it_runs(&mut seen);
    after_it_returned(&mut seen);
    how_it_ended(&mut seen);
    assert_eq!(seen.stages, Stage::ALL.into_iter().collect());
    assert_eq!(seen.outcomes, Outcome::ALL.into_iter().collect());
    let reasons = "SubmissionOpen Dependencies NoCapablePeer CapableGone CapablePaused NoFreeSlot Backoff Assigned Running Stopping \
        WaitsForChildren InLine Settling EvidenceWaits Checking Reviewing ReviewsOverLimit Completed DependencyFailed Cancelled Quarantined \
        OutOfRetries";
    assert_eq!(seen.reasons, reasons.split_whitespace().map(str::to_owned).collect());
    let verdicts = "Lacks Paused Full Starved Avoided";
    assert_eq!(seen.verdicts, verdicts.split_whitespace().map(str::to_owned).collect());
}

fn before_it_runs(seen: &mut Seen) {
    let mut mesh = Mesh::with(Config { backlog: 1, ..Config::default() });
    mesh.does(part(vec![task("held")]));
    seen.says(&mesh, "held", "waits until the rest of its submission has come");
    mesh.submit([task("after").after(&["held"]), task("many").after(&["held", "after"])]);
    seen.says(&mesh, "after", r#"waits for "held""#);
    seen.says(&mesh, "many", r#"waits for "held", "after""#);
    seen.says(&mesh, "held", "can never run here: no peer is up");
}

fn who_could_run_it(seen: &mut Seen) {
    let mut mesh = Mesh::with(Config { backlog: 1, ..Config::default() });
    mesh.peer("p", &["a"], 1).peer("q", &["b"], 1);
    mesh.submit([task("x").needs(&["c"]), task("y").needs(&["a", "b"])]);
    seen.says(&mesh, "x", r#"can never run here: no peer has the capability "c""#);
    seen.says(&mesh, "y", r#"can never run here: no single peer has all of "a", "b""#);
    mesh.does(Op::PeerDown { peer: "q".to_owned(), why: DownReason::Shutdown }).submit([task("w").needs(&["b"])]);
    seen.says(&mesh, "w", r#"waits until a peer that can run it is up again: "q""#);
    seen.says(&mesh, "y", r#"can never run here: no single peer has all of "a", "b""#);
    mesh.pause("p", PauseReason::User).submit([task("z").needs(&["a"])]);
    seen.says(&mesh, "z", r#"waits for a peer to be resumed: "p" (user)"#);
    mesh.resume("p").submit([task("next").needs(&["a"]), task("last").needs(&["a"])]);
    seen.says(&mesh, "next", r#"waits at "p" for a slot, 0 ahead of it"#);
    seen.says(&mesh, "last", r#"waits for a free slot of "p""#);
    let full = PeerVerdict::Full { peer: "p".to_owned(), busy: 1, waiting: 1 };
    assert!(seen.asks(&mesh, "last").peers.contains(&full));

    let mut mesh = Mesh::new();
    mesh.does(Op::PeerUp(PeerSpec { uses_session: true, ..super::mesh::peer("p", &[], 2) }));
    mesh.submit([task("a"), task("b")]);
    seen.says(&mesh, "b", r#"waits at "p" for a session or for tokens of the budget"#);

    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(1)]).fails("a").peer("q", &[], 1).submit([task("b"), task("c")]);
    mesh.time_passes();
    assert!(seen.asks(&mesh, "a").peers.contains(&PeerVerdict::Avoided { peer: "p".to_owned() }));
}

fn while_it_runs(seen: &mut Seen) {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a").retries(1)]);
    let (.., grant) = mesh.holder("a");
    seen.says(&mesh, "a", &format!(r#"runs at "p" under grant {grant}"#));
    mesh.fails("a");
    seen.says(&mesh, "a", "attempt 1 did not end well; the next one comes 1000 ms after it");
    mesh.time_passes().spawn("a", [task("child")]).waits("a", &[]);
    seen.says(&mesh, "a", r#"gave up its slot and waits for its children "child""#);
    mesh.submit([task("b")]).peer("q", &[], 1).shows("b", "running q").submit([task("c").priority(9)]);
    mesh.cancel("child");
    seen.says(&mesh, "child", r#"was cancelled, and is being ended at "p""#);
    mesh.peer("r", &[], 1).pause("p", PauseReason::User).returns("child", AttemptOutcome::Cancelled);
    seen.says(&mesh, "a", r#"its children are closed; first in line for a slot of "p""#);
    seen.says(&mesh, "child", "was cancelled");
}

fn after_it_returned(seen: &mut Seen) {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a").verified()]).spawn("a", [task("child")]);
    let (author, no, grant) = mesh.ok_but_messages("a");
    seen.says(&mesh, "a", r#"returned, and its children "child" are open"#);
    mesh.ok("child").submit([task("b"), task("c")]);
    seen.says(&mesh, "a", "returned, and messages that it sent are not acknowledged");
    mesh.accept(&author, Op::Settled { task: no, grant });
    seen.says(&mesh, "a", r#"returned; its evidence waits for a slot of "p""#);
    mesh.ok("b");
    seen.says(&mesh, "a", r#"returned; its evidence is looked at on "p""#);
    mesh.checked("a", true);
    seen.says(&mesh, "a", "completed");
    mesh.submit([task("r").reviewed(2, 3, &["judge"])]).ok("r");
    let waits = r#"waits for 2 more approvals of 2 from "r#review-1.1", "r#review-1.2", "r#review-1.3"; "#;
    seen.says(&mesh, "r", &format!(r#"{waits}"r#review-1.1" can never run here: no peer has the capability "judge""#));
    mesh.peer("j", &["judge"], 3).ok("r#review-1.1").ok("r#review-1.2");
    seen.says(&mesh, "r", r#"is approved, and its other reviews "r#review-1.3" are being ended"#);
    mesh.returns("r#review-1.3", AttemptOutcome::Cancelled);
    seen.says(&mesh, "r", "completed");
    mesh.spawn("c", [task("open")]).fails("c");
    seen.says(&mesh, "c", r#"will end as failed, and its children "open" are open"#);
}

fn how_it_ended(seen: &mut Seen) {
    let limits = Limits { crashes: 1, interruptions: 1, depth: 0, ..Limits::default() };
    let mut mesh = Mesh::with(Config { limits, ..Config::default() });
    mesh.peer("p", &[], 9).submit([
        task("failed"),
        task("late"),
        task("unproven").verified(),
        task("crashed"),
        task("deep").reviewed(1, 1, &[]),
        task("after").after(&["failed"]),
        task("skipped").after(&["failed"]).or(DependencyPolicy::Skip),
    ]);
    mesh.fails("failed").returns("late", AttemptOutcome::TimedOut).ok("unproven").checked("unproven", false);
    seen.says(&mesh, "failed", "ended as failed after 1 failed attempt; no retry is left");
    seen.says(&mesh, "late", "ended as timed-out after 1 failed attempt; no retry is left");
    seen.says(&mesh, "unproven", "ended as unverified after 1 failed attempt; no retry is left");
    mesh.ok("deep");
    let no_room = "ended as rejected: its reviews would be over a limit on tasks, on depth or on children";
    seen.says(&mesh, "deep", no_room);
    seen.says(&mesh, "after", r#"failed without running, because "failed" is failed"#);
    seen.says(&mesh, "skipped", r#"was skipped, because "failed" is failed"#);
    mesh.does(Op::PeerDown { peer: "p".to_owned(), why: DownReason::Died });
    seen.says(&mesh, "crashed", "is quarantined: 1 attempt was lost with process or peer");
    mesh.join("m").peer_on("m", "q", &[], 1).submit([task("cut")]).loses("m");
    seen.says(&mesh, "cut", "ended as interrupted after 1 interruption");
    assert_eq!(mesh.task("cut").phase, Phase::Closed { outcome: Outcome::Interrupted });
}

#[test]
fn the_four_facts_of_done_are_told_apart() {
    let mut seen = Seen::default();
    let facts = |answer: &Explanation| (answer.returned, answer.settled, answer.verified, answer.closed);
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 2).submit([task("a").verified()]);
    assert_eq!(facts(&seen.asks(&mesh, "a")), (false, false, Some(false), false));
    mesh.spawn("a", [task("child")]).ok("a");
    assert_eq!(facts(&seen.asks(&mesh, "a")), (true, false, Some(false), false));
    mesh.ok("child");
    assert_eq!(facts(&seen.asks(&mesh, "a")), (true, true, Some(false), false));
    mesh.checked("a", true);
    assert_eq!(facts(&seen.asks(&mesh, "a")), (true, true, Some(true), true));
    mesh.submit([task("r").reviewed(1, 1, &[])]).ok("r");
    assert_eq!(facts(&seen.asks(&mesh, "r")), (true, true, Some(false), false));
    mesh.rejects("r#review-1.1");
    assert_eq!(facts(&seen.asks(&mesh, "r")), (true, true, Some(false), true));
}

#[test]
fn results_that_came_too_late_are_counted() {
    let mut mesh = Mesh::new();
    mesh.peer("p", &[], 1).submit([task("a")]);
    let (_, no, grant) = mesh.holder("a");
    mesh.returns("a", AttemptOutcome::Interrupted);
    let _refused = mesh.refuses(Op::Return(returned(no, grant, AttemptOutcome::Ok)));
    assert_eq!(mesh.swarm.explain(no).unwrap().rejected, 1);
}
