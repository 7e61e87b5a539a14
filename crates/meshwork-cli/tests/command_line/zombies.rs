//! An attempt that stops itself (SIGSTOP) beyond its time-out: the real program, real processes, a real token.

use crate::scene::Scene;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;

/// The first attempt leaves its environment and its number behind, and stands still. The second does the work. A third
/// task keeps the swarm going until it is let through.
const SWARM: &str = r#"
[swarm]
id = "zombies"
[limits]
retry_backoff = "1ms"
[[peers]]
id = "p"
count = 3
[[tasks]]
id = "work"
timeout = "1s"
retries = 1
run = '''
if mkdir first 2>/dev/null; then
  env > stale
  echo $$ > pid
  kill -STOP $$
  echo went-on > went-on
fi
ls first > /dev/null && echo done by $MESHWORK_PEER_ID
'''
[[tasks]]
id = "guard"
# Should this test fail, the run ends all the same.
timeout = "60s"
dependencies = ["work"]
run = "echo > come; read go < gate"
"#;

/// What was left in the environment of the first attempt.
fn stale(scene: &Scene) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(scene.path("stale")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Calls a verb with the token of the attempt, as a process would that escaped its end.
fn call(environment: &BTreeMap<String, String>, verb: &str, body: &str) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(format!("{}/v1/{verb}", environment["MESHWORK_URL"]));
    let request = request.header("Authorization", format!("Bearer {}", environment["MESHWORK_TOKEN"]));
    let mut answer = request.header("Content-Type", "application/json").send(body).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

#[test]
fn an_attempt_that_stands_still_is_ended_and_its_token_does_nothing() {
    let scene = Scene::new();
    scene.write("swarm.toml", SWARM);
    let (come, gate) = (scene.fifo("come"), scene.path("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let run = scene.start("run swarm.toml --format json");
    come.arrives();

    // Its successor has completed the task, and nothing of it is left to go on.
    let pid: i32 = std::fs::read_to_string(scene.path("pid")).unwrap().trim().parse().unwrap();
    assert_eq!(kill(Pid::from_raw(pid), Signal::SIGCONT), Err(Errno::ESRCH), "nobody is there to be continued");
    assert!(!scene.path("went-on").exists());

    let environment = stale(&scene);
    let before = scene.meshwork("events --format json").exits(0).json();
    for (verb, body) in [
        ("submit_task", r#"{"id":"child","run":"true"}"#),
        ("wait_for_tasks", r#"{"ids":["guard"]}"#),
        ("send_message", r#"{"to":"p-1","type":"note","payload":1}"#),
        ("broadcast", r#"{"type":"note","payload":1}"#),
        ("put_artifact", r#"{"key":"notes/zombie","text":"x"}"#),
        ("report_progress", r#"{"text":"still here"}"#),
        ("report_usage", r#"{"inputTokens":5,"outputTokens":5}"#),
        ("read_messages", "{}"),
    ] {
        let (status, answer) = call(&environment, verb, body);
        assert_eq!(status, 401, "{verb}: {answer}");
        assert_eq!(
            (&answer["error"]["code"], &answer["error"]["stateChanged"]),
            (&"Unauthorized".into(), &false.into())
        );
    }
    let after = scene.meshwork("events --format json").exits(0).json();
    assert_eq!(after, before, "nothing was changed");
    assert!(!scene.meshwork("artifacts list").exits(0).out.contains("zombie"));

    std::fs::write(gate, "go\n").unwrap();
    let report = run.ended().exits(0).json();
    let task = report["tasks"].as_array().unwrap().iter().find(|task| task["id"] == "work").unwrap();
    let attempts = task["attempts"].as_array().unwrap();
    assert_eq!(attempts.iter().map(|one| one["outcome"].as_str().unwrap()).collect::<Vec<_>>(), ["timed-out", "ok"]);
    assert_ne!(attempts[0]["peerId"], attempts[1]["peerId"], "who failed it is avoided");
    assert_eq!(task["result"], format!("done by {}", attempts[1]["peerId"].as_str().unwrap()));
    scene
        .meshwork("explain work")
        .exits(0)
        .mentions("timed-out")
        .mentions("ran longer than its timeout")
        .mentions("completed");
}
