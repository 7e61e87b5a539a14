//! What is produced is what the published schema says, property by property.

use super::play::{Play, task};
use crate::view::{RunReport, RuntimeFacts};
use meshwork_core::savings::Tally;
use meshwork_core::{Op, PauseReason, TaskSpec};
use serde_json::{Map, Value, json};

/// Checks a value against the part of JSON Schema that our schema uses; a property that the schema does not
/// name is a fault too. Returns what is wrong, by path.
fn faults(schema: &Value, root: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { return };
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let target = root.pointer(reference.trim_start_matches('#')).unwrap();
        return faults(target, root, value, path, found);
    }
    if let Some(options) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let fits = options.iter().any(|option| {
            let mut wrong = Vec::new();
            faults(option, root, value, path, &mut wrong);
            wrong.is_empty()
        });
        if !fits {
            found.push(format!("{path}: {value} fits none of its alternatives"));
        }
        return;
    }
    let constant = schema.get("const").is_some_and(|constant| constant != value);
    let listed = schema.get("enum").and_then(Value::as_array).is_some_and(|list| !list.contains(value));
    if constant || listed || !has_type(schema, value) {
        found.push(format!("{path}: {value} is not {}", Value::Object(schema.clone())));
    }
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        for (index, item) in list.iter().enumerate() {
            faults(items, root, item, &format!("{path}/{index}"), found);
        }
    }
    if let (Some(Value::Object(properties)), Some(object)) = (schema.get("properties"), value.as_object()) {
        object_faults(schema, properties, root, object, path, found);
    }
}

fn object_faults(
    schema: &Map<String, Value>,
    properties: &Map<String, Value>,
    root: &Value,
    object: &Map<String, Value>,
    path: &str,
    found: &mut Vec<String>,
) {
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !object.contains_key(required.as_str().unwrap()) {
            found.push(format!("{path}: {required} is missing"));
        }
    }
    for (name, value) in object {
        match properties.get(name) {
            Some(property) => faults(property, root, value, &format!("{path}/{name}"), found),
            None => found.push(format!("{path}: {name} is not in the schema")),
        }
    }
}

fn has_type(schema: &Map<String, Value>, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => false,
    };
    match schema.get("type") {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    }
}

/// A run with everything in it: success, failure, cancel, a skipped start, open work, a paused peer.
fn eventful() -> Play {
    let mut play = Play::new();
    play.peer("p", &["x"], 2);
    play.peer("q", &[], 1);
    let needs = TaskSpec { requires: vec!["nobody".into()], ..task("stuck", &[]) };
    play.submit(vec![task("a", &[]), task("b", &[]), task("c", &["b"]), needs, task("e", &[])]);
    play.pass(10);
    play.ok_with("a", 10, 5, "[1, null]");
    play.fail("b", 10, "no");
    let no = play.no("stuck");
    play.one(Op::Cancel { task: no });
    play.one(Op::Pause { peer: "q".into(), reason: PauseReason::User });
    play.one(Op::Rebalance);
    play
}

#[test]
fn a_report_is_what_its_schema_says() {
    let schema = RunReport::schema();
    let facts = RuntimeFacts {
        messages_sent: Some(1),
        messages_received: Some(1),
        p95_peer_latency_ms: Some(0.5),
        unread_messages: Some(0),
        discovery_broadcasts_sent: Some(2),
        average_rebalance_time_ms: Some(0.1),
        detection_timeouts: Some(0),
        tokens_saved: Some(0),
        wakes: Some(Tally { count: 2, tokens: 30 }),
        wakes_avoided: Some(4),
    };
    let empty = crate::view::View::new();
    for report in
        [eventful().view.report(&facts), eventful().view.report(&RuntimeFacts::default()), empty.report(&facts)]
    {
        let value = serde_json::to_value(&report).unwrap();
        let mut found = Vec::new();
        faults(&schema, &schema, &value, "", &mut found);
        assert!(found.is_empty(), "{found:#?}");
        let back: RunReport = serde_json::from_value(value).unwrap();
        assert_eq!(back, report);
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = RunReport::schema();
    let mut value = serde_json::to_value(eventful().view.report(&RuntimeFacts::default())).unwrap();
    value["tasks"][0]["state"] = json!("done");
    value["peers"][0].as_object_mut().unwrap().remove("load");
    value["metrics"]["invented"] = json!(1);
    let mut found = Vec::new();
    faults(&schema, &schema, &value, "", &mut found);
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn the_seeds_names_are_all_there() {
    let facts = RuntimeFacts {
        messages_sent: Some(1),
        messages_received: Some(1),
        p95_peer_latency_ms: Some(0.5),
        discovery_broadcasts_sent: Some(2),
        average_rebalance_time_ms: Some(0.1),
        detection_timeouts: Some(0),
        ..RuntimeFacts::default()
    };
    let mut play = eventful();
    play.ok("e", 1);
    play.seal();
    let report = serde_json::to_value(play.view.report(&facts)).unwrap();
    let has = |part: &Value, names: &[&str]| {
        let missing: Vec<_> = names.iter().filter(|name| part.get(**name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?} of {part}");
    };
    has(
        &report["metrics"],
        &["totalAgents", "activeAgents", "pausedAgents", "totalTasks", "pendingTasks", "runningTasks"],
    );
    has(
        &report["metrics"],
        &["completedTasks", "failedTasks", "totalTokensUsed", "uptimeMs", "totalPeers", "activePeers"],
    );
    has(&report["metrics"], &["averagePeerLoad", "discoveryTimeMs", "completionDetectionTimeMs", "messagesSent"]);
    has(&report["metrics"], &["messagesReceived", "p95PeerLatencyMs", "tokenSavingsPercentage"]);
    has(&report["discovery"], &["totalPeersDiscovered", "activePeers", "stalePeers", "discoveryBroadcastsSent"]);
    has(&report["discovery"], &["peerAnnouncementsReceived", "averageDiscoveryLatencyMs", "lastDiscoveryTime"]);
    has(&report["completion"], &["totalPeers", "completedPeers", "totalProbesSent", "totalAcksReceived"]);
    has(&report["completion"], &["averageDetectionTimeMs", "longestDetectionTimeMs", "detectionAttempts"]);
    has(&report["completion"], &["detectionSuccesses", "detectionTimeouts"]);
    has(
        &report["loadBalancer"],
        &["totalRebalances", "successfulRebalances", "failedRebalances", "tasksRedistributed"],
    );
    has(&report["loadBalancer"], &["averageRebalanceTimeMs", "loadUpdates", "currentImbalanceRatio"]);
    has(&report["tokenSavings"], &["saved", "total", "percentage", "pauseDurationMs", "activeDurationMs"]);
    has(&report["peers"][0], &["id", "capabilities", "load", "state", "neighbors", "lastSeen", "metrics"]);
    has(&report["peers"][0]["metrics"], &["successRate", "averageResponseTime", "tasksCompleted", "tasksFailed"]);
    let names =
        ["id", "type", "description", "requiredCapabilities", "priority", "dependencies", "assignedPeer", "state"];
    has(&report["tasks"][0], &names);
    has(&report["tasks"][0], &["result", "createdAt", "assignedAt", "completedAt", "attempts"]);
    has(&report["tasks"][1], &["error"]);
}
