//! Reviews as a person meets them on the command line, and a node that has stopped.

use crate::scene::Scene;

const PEERS: &str = "[[peers]]\nid = 'p'\n[[peers]]\nid = 'q'\ncapabilities = ['judge']\n";

fn scene(file: &str) -> Scene {
    let scene = Scene::new();
    scene.write("swarm.toml", format!("{PEERS}{file}"));
    scene
}

#[test]
fn a_rejected_task_is_1_with_the_reasons_of_who_rejected_it() {
    let scene = scene(
        "[[tasks]]\nid = 'a'\nrun = 'echo done'\n[tasks.review]\nrequired_capabilities = ['judge']\n\
         run = '''echo '{\"approve\": false, \"reason\": \"no tests\"}' '''\n\
         [[tasks]]\nid = 'b'\nrun = 'echo done'\nreview = { of = 2, run = 'true' }\n",
    );
    scene.meshwork("check swarm.toml").exits(0);
    let ended = scene.meshwork("run swarm.toml --format json").exits(1).says("1 task failed");
    let report = ended.json();
    let task = |id: &str| report["tasks"].as_array().unwrap().iter().find(|task| task["id"] == id).unwrap().clone();
    let a = task("a");
    assert_eq!((&a["state"], &a["outcome"]), (&"failed".into(), &"rejected".into()));
    assert_eq!(a["error"], "q does not approve: no tests");
    assert_eq!(task("b")["state"], "completed");
    assert_eq!(task("a#review-1.1")["reviewOf"], "a");
    let events = scene.meshwork("events").exits(0);
    assert!(events.out.contains("voted") && events.out.contains("a #1 on q rejected: no tests"), "{events:?}");
    let explained = scene.meshwork("explain a").exits(0);
    let sentence = "task \"a\" ended as rejected after 1 failed attempt; no retry is left";
    assert!(explained.out.starts_with(sentence), "{explained:?}");
}

#[test]
fn what_nobody_can_review_is_3_and_says_who_is_missing() {
    let scene = scene(
        "[[tasks]]\nid = 'a'\nrun = 'true'\nreview = { required_capabilities = ['seal'], run = 'true' }\n\
         [[tasks]]\nid = 'b'\nrun = 'true'\ndependencies = ['a']\n",
    );
    let check = scene.meshwork("check swarm.toml").exits(3);
    assert!(check.out.contains("task `a` can never be reviewed: no peer has `seal`"), "{check:?}");
    let why = "task \"a\" waits for 1 more approval of 1 from \"a#review-1.1\"; \"a#review-1.1\" can never run here: \
               no peer has the capability \"seal\"";
    scene.meshwork("run swarm.toml").exits(3).says(why);
    scene.meshwork("explain a").exits(0).mentions("no peer has the capability");
    // A judge comes, and what was done is not done again.
    let file = std::fs::read_to_string(scene.path("swarm.toml")).unwrap().replace("['judge']", "['judge', 'seal']");
    scene.write("swarm.toml", file);
    let report = scene.meshwork("run swarm.toml --format json").exits(0).json();
    assert_eq!(report["tasks"][0]["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_node_that_has_stopped_is_not_shown_as_there() {
    let scene = scene("[[tasks]]\nid = 'a'\nrun = 'true'\n");
    for _ in 0..2 {
        scene.meshwork("run swarm.toml").exits(0);
        let status = scene.meshwork("status --format json").exits(0).json();
        assert_eq!(status["nodes"], serde_json::json!([]));
    }
    let events = scene.meshwork("events --format json").exits(0);
    assert!(events.out.contains("node-left") && !events.out.contains("node-lost"), "{events:?}");
}
