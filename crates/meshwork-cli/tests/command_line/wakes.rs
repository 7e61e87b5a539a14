//! Peers that are woken while they are idle, and what pausing them saves.

use crate::scene::Scene;
use serde_json::Value;
use std::time::{Duration, Instant};

const FILE: &str = r#"
[mesh]
pause_idle_after = "200ms"
[[peers]]
id = "sleeper"
wake_interval = "20ms"
agent = { kind = "command", command = ["/bin/sh", "-c", """
echo '{"meshwork":{"usage":{"inputTokens":90,"outputTokens":10}}}'
"""] }
[[peers]]
id = "sh"
capabilities = ["sh"]
[[tasks]]
id = "meanwhile"
required_capabilities = ["sh"]
run = "until test -e go; do sleep 0.05; done; sleep 0.3"
"#;

#[test]
fn a_report_says_what_wakes_cost_and_what_a_pause_saved() {
    let scene = Scene::new();
    scene.write("swarm.toml", FILE);
    let run = scene.start("run swarm.toml --format json");
    while !scene.path(".meshwork/swarm/swarm.db").exists() {
        std::thread::yield_now();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_paused = |peers: &Value| {
        peers["peers"].as_array().unwrap().iter().any(|peer| peer["id"] == "sleeper" && peer["state"] == "paused")
    };
    while !is_paused(&scene.meshwork("peers --format json").exits(0).json()) {
        assert!(Instant::now() < deadline, "it is never paused");
    }
    scene.write("go", "");
    let report = run.ended().exits(0).json();
    let savings = &report["tokenSavings"];
    let number = |key: &str| savings[key].as_u64().unwrap();
    assert!(number("wakes") > 0 && number("wakesAvoided") > 0, "{savings}");
    assert_eq!((number("tokensPerWake"), number("total")), (100, 100 * number("wakes")));
    assert_eq!(number("saved"), 100 * number("wakesAvoided"));
    assert_eq!(report["metrics"]["tokenSavingsPercentage"], savings["percentage"]);
    // Whoever asks later is told the same.
    assert_eq!(&scene.meshwork("report --format json").exits(0).json()["tokenSavings"], savings);
    scene.meshwork("report").exits(0).mentions("wakes avoided");
}
