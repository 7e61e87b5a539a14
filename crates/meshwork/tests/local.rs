//! A swarm file on the embedded default, with real processes.

#![expect(clippy::unwrap_used, reason = "tests")]

use meshwork::file::{Format, SwarmFile, parse};
use meshwork::local::{LocalError, LocalOptions, LocalSwarm, Submitted};
use meshwork::mesh::RoundEnd;
use meshwork_core::{Outcome, Payload, Phase};
use std::path::Path;
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
