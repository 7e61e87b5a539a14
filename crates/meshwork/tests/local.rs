//! A swarm file on the embedded default, with real processes.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork::file::{Format, SwarmFile, parse};
use meshwork::local::{LocalError, LocalOptions, LocalSwarm, Submitted};
use meshwork::mesh::{AttemptEnd, FnAgent, Output, PeerSetup, RoundEnd};
use meshwork_core::topology::Topology;
use meshwork_core::{DownReason, Outcome, PauseReason, Payload, PeerSpec, Phase, Swarm};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const PEERS: &str = "[[peers]]\nid = \"sh\"\ncount = 2\nmax_concurrent_tasks = 2\n";

fn file(tasks: &str) -> SwarmFile {
    let mut file = parse(&format!("{PEERS}{tasks}"), Format::Toml, "swarm.toml").unwrap();
    file.swarm.id = "test".to_owned();
    file.limits.retry_backoff = "1ms".parse().unwrap();
    file
}

async fn start(file: &SwarmFile, folder: &Path) -> LocalSwarm {
    LocalSwarm::start(file, folder, &folder.join("state"), LocalOptions::default()).await.unwrap()
}

async fn complete(swarm: &LocalSwarm) -> (u32, u32) {
    let end = tokio::time::timeout(Duration::from_secs(60), swarm.complete()).await.expect("it takes far too long");
    match end.unwrap() {
        RoundEnd::Closed(round) => (round.ok, round.failed),
        other => panic!("the round closes, found {other:?}"),
    }
}

async fn phase(swarm: &LocalSwarm, id: &'static str) -> (Phase, u32) {
    let look = move |swarm: &meshwork_core::Swarm| {
        let task = swarm.task(swarm.find_task(id).unwrap()).unwrap();
        (task.phase, task.attempt)
    };
    swarm.mesh().look(look).await.unwrap()
}

const OK: Phase = Phase::Closed { outcome: Outcome::Ok };

#[tokio::test]
async fn results_files_and_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(
        r#"
[[tasks]]
id = "json"
run = 'echo "{\"a\": [1, 2]}"'
[[tasks]]
id = "text"
run = 'printf "two\nlines\n"'
[[tasks]]
id = "input"
input = { path = "src/auth" }
run = 'cat'
[[tasks]]
id = "file"
dependencies = ["json"]
run = 'echo checked > out.txt'
verify = { run = "grep -q checked out.txt", artifacts = ["out.txt"] }
[[tasks]]
id = "lies"
run = 'true'
verify = { artifacts = ["never-written.txt"] }
[[tasks]]
id = "large"
run = 'head -c 100000 /dev/zero | tr "\0" x'
"#,
    );
    let swarm = start(&file, folder.path()).await;
    assert_eq!(swarm.submit(&file).await.unwrap(), Submitted { new: 6, kept: 0 });
    assert_eq!(complete(&swarm).await, (5, 1));
    assert_eq!(phase(&swarm, "lies").await.0, Phase::Closed { outcome: Outcome::Unverified });
    let result = async |id: &'static str| {
        let no = swarm.mesh().look(move |swarm| swarm.find_task(id).unwrap()).await.unwrap();
        swarm.mesh().result(no).await.unwrap().unwrap().result
    };
    assert_eq!(result("json").await, Some(Payload::Json("{\"a\": [1, 2]}".to_owned())));
    assert_eq!(result("text").await, Some(Payload::Json("\"two\\nlines\"".to_owned())));
    let Some(Payload::Json(input)) = result("input").await else { panic!("a small result is in the log") };
    assert!(input.contains("\"input\":{\"path\":\"src/auth\"}") && input.contains("\"attempt\":1"), "{input}");
    let Some(Payload::Artifact { key, bytes }) = result("large").await else { panic!("a large result is an artifact") };
    assert_eq!(bytes, 100_000);
    assert_eq!(swarm.mesh().artifacts().retrieve(&key).await.unwrap().len(), 100_000);
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_process_that_is_killed_costs_one_more_attempt_and_no_retry() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(
        r#"
[[tasks]]
id = "killed-once"
run = 'test "$MESHWORK_ATTEMPT" = 2 || kill -9 $$'
[[tasks]]
id = "command-killed-once"
run = "test $MESHWORK_ATTEMPT = 2 || sh -c 'kill -9 $$'; exit $?"
[[tasks]]
id = "fails"
retries = 1
run = 'exit 3'
[[tasks]]
id = "slow"
timeout = "50ms"
run = 'exec sleep 1000'
"#,
    );
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    assert_eq!(complete(&swarm).await, (2, 2));
    assert_eq!(phase(&swarm, "killed-once").await, (OK, 2));
    assert_eq!(phase(&swarm, "command-killed-once").await, (OK, 2));
    assert_eq!(phase(&swarm, "fails").await, (Phase::Closed { outcome: Outcome::Failed }, 2));
    assert_eq!(phase(&swarm, "slow").await, (Phase::Closed { outcome: Outcome::TimedOut }, 1));
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_same_file_again_runs_what_failed_what_changed_and_their_dependants() {
    let folder = tempfile::tempdir().unwrap();
    let text = |changed: &str| {
        format!(
            "[[tasks]]\nid = \"a\"\nrun = 'echo a >> ran'\n\
             [[tasks]]\nid = \"b\"\ndependencies = [\"a\"]\nrun = 'echo {changed} >> ran'\n\
             [[tasks]]\nid = \"c\"\ndependencies = [\"b\"]\nrun = 'echo c >> ran'\n\
             [[tasks]]\nid = \"d\"\ndependencies = [\"a\"]\nrun = 'echo d >> ran; test -e good'\n"
        )
    };
    let ran = || {
        let mut lines: Vec<String> =
            std::fs::read_to_string(folder.path().join("ran")).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        std::fs::remove_file(folder.path().join("ran")).unwrap();
        lines.join("")
    };
    let first = file(&text("b"));
    let swarm = start(&first, folder.path()).await;
    swarm.submit(&first).await.unwrap();
    assert_eq!((complete(&swarm).await, ran()), ((3, 1), "abcd".to_owned()));
    swarm.shutdown().await.unwrap();

    std::fs::write(folder.path().join("good"), "").unwrap();
    let swarm = start(&first, folder.path()).await;
    assert_eq!(swarm.submit(&first).await.unwrap(), Submitted { new: 1, kept: 3 });
    assert_eq!((complete(&swarm).await, ran()), ((1, 0), "d".to_owned()), "what failed runs again");
    assert_eq!(swarm.submit(&first).await.unwrap(), Submitted { new: 0, kept: 4 });
    assert!(matches!(swarm.complete().await.unwrap(), RoundEnd::Empty(Some(last)) if last.number == 2));
    swarm.shutdown().await.unwrap();

    let second = file(&text("B"));
    let swarm = start(&second, folder.path()).await;
    assert_eq!(swarm.submit(&second).await.unwrap(), Submitted { new: 2, kept: 2 });
    assert_eq!((complete(&swarm).await, ran()), ((2, 0), "Bc".to_owned()), "what changed and its dependants");
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_second_run_of_the_same_state_folder_is_refused_and_names_who_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = file("[[tasks]]\nid = \"a\"\nrun = 'true'\n");
    let swarm = start(&file, folder.path()).await;
    let second = LocalSwarm::start(&file, folder.path(), &folder.path().join("state"), LocalOptions::default()).await;
    let Err(LocalError::State(error)) = second else { panic!("the folder is locked") };
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_raised_budget_is_in_force_when_the_same_file_runs_again() {
    let folder = tempfile::tempdir().unwrap();
    let spends = "echo '{\"meshwork\":{\"usage\":{\"inputTokens\":60,\"outputTokens\":0}}}'";
    let mut file = file(&format!(
        "[[tasks]]\nid = \"a\"\nrun = '''{spends}'''\n[[tasks]]\nid = \"b\"\ndependencies = [\"a\"]\nrun = '''{spends}'''\n"
    ));
    file.limits.token_budget = Some(100);
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    assert_eq!(swarm.complete().await.unwrap(), RoundEnd::Stalled, "60 of 100 are spent, and 60 more are expected");
    let peers = |swarm: &meshwork_core::Swarm| swarm.peers().all(|(_, peer)| peer.paused.is_some());
    assert!(swarm.mesh().look(peers).await.unwrap(), "a spent budget pauses everything");
    swarm.shutdown().await.unwrap();

    file.limits.token_budget = Some(1_000);
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    // A sealed round goes on as soon as the node has joined, and may have closed before anybody asked.
    let end = tokio::time::timeout(Duration::from_secs(60), swarm.complete()).await.expect("it takes far too long");
    let (RoundEnd::Closed(round) | RoundEnd::Empty(Some(round))) = end.unwrap() else { panic!("the round closes") };
    assert_eq!((round.number, round.ok, round.failed), (1, 2, 0));
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn shell_reviewers_vote_on_what_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = file(
        r##"
[[tasks]]
id = "second-try"
description = "count your attempts"
retries = 1
run = 'echo "{\"try\": $MESHWORK_ATTEMPT}"'
[tasks.review]
approvals = 2
run = """
read -r task
case $task in *'"result":{"try":2}'*) exit 0;; esac
echo 'this is too early'
echo '{"approve": false, "reason": "the first try is never good"}'
"""
[[tasks]]
id = "never"
run = 'true'
review = { of = 2, run = 'echo false' }
[[tasks]]
id = "broken-reviewer"
run = 'true'
review = { run = 'exit 7' }
[[tasks]]
id = "unclear"
run = 'true'
review = { run = "echo '{\"approve\": \"maybe\"}'" }
[[tasks]]
id = "talkative"
run = 'true'
review = { run = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo '{\"approve\": false}'" }
"##,
    );
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    assert_eq!(complete(&swarm).await, (1, 4), "reviews are not counted");
    let rejected = Phase::Closed { outcome: Outcome::Rejected };
    assert_eq!(phase(&swarm, "second-try").await, (OK, 2));
    for id in ["never", "broken-reviewer", "unclear", "talkative"] {
        assert_eq!(phase(&swarm, id).await.0, rejected, "{id}");
    }
    let error = async |id: &'static str| {
        let no = swarm.mesh().look(move |swarm| swarm.find_task(id).unwrap()).await.unwrap();
        swarm.mesh().result(no).await.unwrap().unwrap().error
    };
    let reason = "the first try is never good";
    let first = [error("second-try#review-1.1").await, error("second-try#review-1.2").await];
    assert!(first.iter().any(|said| said.as_deref() == Some(reason)), "{first:?}");
    let unclear = error("unclear#review-1.1").await.unwrap();
    assert_eq!(unclear, "the review's \"approve\" is \"maybe\", expected true or false");
    assert_eq!(phase(&swarm, "talkative#review-1.1").await.0, OK, "it voted, at the end of a large output");
    assert_eq!(phase(&swarm, "broken-reviewer#review-1.1").await.0, Phase::Closed { outcome: Outcome::Failed });
    swarm.shutdown().await.unwrap();

    // The same file again: what was approved is kept, what was not is done and reviewed anew.
    let swarm = start(&file, folder.path()).await;
    assert_eq!(swarm.submit(&file).await.unwrap(), Submitted { new: 4, kept: 1 });
    assert_eq!(complete(&swarm).await, (0, 4));
    swarm.shutdown().await.unwrap();
}

/// Resolves when the swarm is so.
async fn until(swarm: &LocalSwarm, is_so: impl Fn(&Swarm) -> bool + Clone + Send + 'static) {
    let mut status = swarm.mesh().status();
    let waiting = async {
        while !swarm.mesh().look(is_so.clone()).await.unwrap() {
            status.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it takes far too long");
}

/// How many of four tasks each of two peers was given: `quick` has done `runs` tasks of their type in no time, `slow` one
/// in three seconds. A third peer, which cannot do them, makes them ready: nobody else has a slot that was just freed.
async fn spread(strategy: &str, runs: usize) -> [usize; 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut text =
        format!("[swarm]\nid = 's'\nstrategy = '{strategy}'\n[[peers]]\nid = 'gate'\ncapabilities = ['gate']\n");
    for peer in ["quick", "slow"] {
        text += &format!("[[peers]]\nid = '{peer}'\ncapabilities = ['{peer}', 'both']\nmax_concurrent_tasks = 4\n");
    }
    text += "[[tasks]]\nid = 'slowly'\nrequired_capabilities = ['slow']\nrun = 'sleep 3'\n";
    let mut before = vec!["'slowly'".to_owned()];
    for run in 0..runs {
        text += &format!("[[tasks]]\nid = 'q{run}'\nrequired_capabilities = ['quick']\nrun = 'true'\n");
        before.push(format!("'q{run}'"));
    }
    let before = before.join(", ");
    text +=
        &format!("[[tasks]]\nid = 'gate'\nrequired_capabilities = ['gate']\nrun = 'true'\ndependencies = [{before}]\n");
    for id in ["a", "b", "c", "d"] {
        let needs = "required_capabilities = ['both']\ndependencies = ['gate']";
        text += &format!("[[tasks]]\nid = '{id}'\nrun = 'true'\n{needs}\n");
    }
    let file = parse(&text, Format::Toml, "swarm.toml").unwrap();
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    complete(&swarm).await;
    let look = |swarm: &Swarm| {
        let who = |id: &str| swarm.task(swarm.find_task(id).unwrap()).unwrap().last_peer;
        let of = |peer: &str| ["a", "b", "c", "d"].iter().filter(|id| Some(who(id)) == swarm.find_peer(peer)).count();
        ["quick", "slow"].map(of)
    };
    let spread = swarm.mesh().look(look).await.unwrap();
    swarm.shutdown().await.unwrap();
    spread
}

#[tokio::test]
async fn a_strategy_decides_who_is_given_a_task() {
    let [balanced, performance, new, learned] = <[_; 4]>::try_from(
        futures_util::future::join_all([
            spread("balanced", 1),
            spread("performance", 1),
            spread("adaptive", 1),
            spread("adaptive", 20),
        ])
        .await,
    )
    .unwrap();
    assert_eq!(balanced, [2, 2]);
    assert_eq!(performance, [4, 0], "four short ones end before one long one");
    assert_eq!(new, [2, 2], "the type was not done often enough to say how long it takes");
    assert_eq!(learned, [4, 0]);
}

#[tokio::test]
async fn under_adaptive_the_topology_follows_those_who_are_there() {
    let extra = || {
        let agent = Arc::new(FnAgent::new(async |_| AttemptEnd::ok(Output::None)));
        let (id, capabilities) = ("extra".to_owned(), Vec::new());
        let spec = PeerSpec { id, capabilities, slots: 1, uses_session: false, token_budget: None };
        PeerSetup { spec, agent }
    };
    for (strategy, with_eight) in [("adaptive", Topology::Hierarchical), ("balanced", Topology::Mesh)] {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[swarm]\nid = 's'\nstrategy = '{strategy}'\n[[peers]]\nid = 'p'\ncount = 7\n\
             [[tasks]]\nid = 'a'\nrun = 'true'\n"
        );
        let file = parse(&text, Format::Toml, "swarm.toml").unwrap();
        let swarm = start(&file, folder.path()).await;
        until(&swarm, |swarm| swarm.shape().topology() == Topology::Mesh && swarm.shape().len() == 7).await;
        swarm.mesh().add_peer(extra()).await.unwrap();
        until(&swarm, move |swarm| swarm.shape().topology() == with_eight && swarm.shape().len() == 8).await;
        swarm.submit(&file).await.unwrap();
        assert_eq!(complete(&swarm).await, (1, 0));
        swarm.mesh().remove_peer("extra", DownReason::Left).await.unwrap();
        until(&swarm, |swarm| swarm.shape().topology() == Topology::Mesh && swarm.shape().len() == 7).await;
        swarm.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn an_idle_peer_is_woken_and_once_it_is_paused_what_that_saves_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
read -r line
case $line in
'{"wake":{"number":'*'"peerId":"sleeper"}}') echo "$line $MESHWORK_PEER_ID $MESHWORK_TASK_ID" >> woken;;
*) echo '"worked"';;
esac
echo '{"meshwork":{"usage":{"inputTokens":90,"outputTokens":10}}}'
"#;
    std::fs::write(folder.path().join("agent.sh"), script).unwrap();
    let text = r#"
[swarm]
id = "test"
[mesh]
pause_idle_after = "1s"
[[peers]]
id = "sleeper"
capabilities = ["think"]
wake_interval = "20ms"
agent = { kind = "command", command = ["/bin/sh", "agent.sh"] }
[[peers]]
id = "sh"
capabilities = ["sh"]
[[tasks]]
id = "meanwhile"
required_capabilities = ["sh"]
run = "until test -s woken -a -e paused; do sleep 0.02; done"
[[tasks]]
id = "work"
required_capabilities = ["think"]
dependencies = ["meanwhile"]
"#;
    let file = parse(text, Format::Toml, "swarm.toml").unwrap();
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    let paused = |swarm: &Swarm, id: &str| swarm.peer(swarm.find_peer(id).unwrap()).unwrap().paused;
    until(&swarm, move |swarm| paused(swarm, "sleeper") == Some(PauseReason::Idle)).await;
    let missed = async {
        while swarm.savings().unwrap().wakes_avoided < 3 || swarm.savings().unwrap().wakes.count == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), missed).await.expect("it takes far too long");
    assert_eq!(swarm.mesh().look(move |swarm| paused(swarm, "sh")).await.unwrap(), None, "it costs nothing");
    std::fs::write(folder.path().join("paused"), "").unwrap();
    assert_eq!(complete(&swarm).await, (2, 0), "work resumes it");
    let savings = swarm.savings().unwrap();
    assert_eq!(savings.wakes.tokens, 100 * savings.wakes.count);
    assert_eq!(savings.saved, 100 * savings.wakes_avoided, "each would have cost what the others did");
    let woken = std::fs::read_to_string(folder.path().join("woken")).unwrap();
    assert_eq!(woken.lines().next(), Some("{\"wake\":{\"number\":1,\"peerId\":\"sleeper\"}} sleeper "));
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn wakes_keep_to_the_budget_of_their_peer() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[swarm]
id = "test"
[[peers]]
id = "sleeper"
wake_interval = "20ms"
token_budget = 250
agent = { kind = "command", command = ["/bin/sh", "usage.sh"] }
[[peers]]
id = "sh"
capabilities = ["sh"]
[[tasks]]
id = "meanwhile"
required_capabilities = ["sh"]
run = "until test -e go; do sleep 0.02; done"
"#;
    let usage = r#"echo '{"meshwork":{"usage":{"inputTokens":90,"outputTokens":10}}}'"#;
    std::fs::write(folder.path().join("usage.sh"), usage).unwrap();
    let file = parse(text, Format::Toml, "swarm.toml").unwrap();
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    let paused = |swarm: &Swarm| swarm.peer(swarm.find_peer("sleeper").unwrap()).unwrap().paused;
    until(&swarm, move |swarm| paused(swarm) == Some(PauseReason::Budget)).await;
    let missed = async {
        while swarm.savings().unwrap().wakes_avoided < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), missed).await.expect("it takes far too long");
    let woken = swarm.savings().unwrap().wakes.count;
    assert!((3..=4).contains(&woken), "250 tokens are three wakes, and one may have begun meanwhile: {woken}");
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(complete(&swarm).await, (1, 0));
    swarm.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_wake_that_goes_on_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[swarm]
id = "test"
[[peers]]
id = "sleeper"
wake_interval = "1ms"
agent = { kind = "command", command = ["/bin/sh", "-c", "echo $$ > pid; exec sleep 1000"] }
[[peers]]
id = "sh"
capabilities = ["sh"]
[[tasks]]
id = "meanwhile"
required_capabilities = ["sh"]
run = "until test -s pid; do sleep 0.02; done"
"#;
    let file = parse(text, Format::Toml, "swarm.toml").unwrap();
    let swarm = start(&file, folder.path()).await;
    swarm.submit(&file).await.unwrap();
    assert_eq!(complete(&swarm).await, (1, 0), "a wake holds up no completion");
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    swarm.shutdown().await.unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}
