//! Who must not be served, and what must not be read (targets, section 5).

use super::*;

#[tokio::test]
async fn only_the_token_of_an_attempt_that_runs_is_good() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let good = format!("Bearer {}", lease.token());
    let wrong = format!("Bearer {}", "0".repeat(32));
    let other_scheme = format!("Basic {}", lease.token());
    let bad: [&[(&str, &str)]; 5] = [
        &[],
        &[("Authorization", &wrong)],
        &[("Authorization", &other_scheme)],
        &[("Authorization", lease.token())],
        &[("Authorization", &good), ("Authorization", &good)],
    ];
    for headers in bad {
        let (status, answer) = scene.request("/v1/swarm_status", headers, b"").await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, code(&answer)), (401, "Unauthorized"), "{headers:?}");
        assert_eq!(answer["error"]["stateChanged"], false);
    }
    assert_eq!(scene.request("/v1/swarm_status", &[("authorization", &good)], b"").await.0, 200);
    assert!(!format!("{lease:?}{:?}", scene.endpoint).contains(lease.token()), "tokens are not shown");
    let token = lease.token().to_owned();
    drop(lease);
    let dead = format!("Bearer {token}");
    assert_eq!(
        scene.request("/v1/swarm_status", &[("Authorization", &dead)], b"").await.0,
        401,
        "it died with its lease"
    );
}

#[tokio::test]
async fn each_attempt_has_a_token_of_its_own() {
    let mut scene = Scene::new(&[("one", &[]), ("two", &[])]).await;
    let (_first, one) = scene.attempt("a").await;
    let (_second, two) = scene.attempt("b").await;
    assert!(one.token().len() == 32 && one.token() != two.token());
    assert_eq!(scene.done(&one, "swarm_status", json!({})).await["taskId"], "a");
    assert_eq!(scene.done(&two, "swarm_status", json!({})).await["taskId"], "b");
}

#[tokio::test]
async fn a_waiting_request_ends_with_its_lease() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("parent").await;
    scene.done(&lease, "submit_task", json!({"id": "child"})).await;
    let authorization = format!("Bearer {}", lease.token());
    let headers = [("Authorization", &*authorization)];
    let waits = scene.request("/v1/wait_for_tasks", &headers, b"");
    tokio::pin!(waits);
    let mut status = scene.mesh.status();
    let child_starts = soon(status.wait_for(|status| status.running == 2));
    tokio::select! {
        _ = &mut waits => panic!("nothing has ended"),
        seen = child_starts => { seen.unwrap(); }
    }
    drop(lease);
    assert_eq!(waits.await.0, 401);
}

#[tokio::test]
async fn an_attempt_that_was_given_up_on_changes_nothing() {
    let mut scene = Scene::new(&[("one", &[]), ("two", &[])]).await;
    let (held, lease) = scene.attempt("task").await;
    let task = held.attempt.task;
    held.returns(&json!(1));
    let mut status = scene.mesh.status();
    soon(status.wait_for(|status| status.completed == 1)).await.unwrap();
    assert!(scene.mesh.look(move |swarm| swarm.task(task).unwrap().phase.is_closed()).await.unwrap());
    for (verb, body) in [
        ("submit_task", json!({"id": "late"})),
        ("report_progress", json!({"text": "late"})),
        ("put_artifact", json!({"key": "late", "text": "x"})),
        ("read_messages", json!({})),
        ("send_message", json!({"to": "two", "type": "late"})),
        ("broadcast", json!({"type": "late"})),
    ] {
        let (status, answer) = scene.ask(&lease, verb, &body).await;
        assert_eq!((status, code(&answer)), (409, "StaleGrant"), "{verb}");
    }
    assert_eq!(scene.mesh.look(|swarm| swarm.tasks().len()).await.unwrap(), 1);
}

#[tokio::test]
async fn pages_and_other_names_are_refused() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let good = format!("Bearer {}", lease.token());
    let port = scene.host().rsplit_once(':').unwrap().1.to_owned();
    let ask = async |name: &str, value: &str| {
        let headers = [("Authorization", &*good), (name, value)];
        let (status, answer) = scene.request("/v1/swarm_status", &headers, b"").await;
        (status, String::from_utf8(answer).unwrap())
    };
    for host in [format!("localhost:{port}"), format!("LOCALHOST:{port}"), format!("[::1]:{port}")] {
        assert_eq!(ask("Host", &host).await.0, 200, "{host}");
    }
    for host in ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""] {
        let (status, answer) = ask("Host", host).await;
        assert!(status == 403 && answer.contains("ForeignHost"), "{host}: {status} {answer}");
    }
    assert_eq!(ask("Origin", &format!("http://127.0.0.1:{port}")).await.0, 200);
    for origin in ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"] {
        let (status, answer) = ask("Origin", origin).await;
        assert!(status == 403 && answer.contains("ForeignOrigin"), "{origin}: {status} {answer}");
    }
}

#[tokio::test]
async fn a_token_in_a_url_is_refused_even_beside_a_good_one() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let good = format!("Bearer {}", lease.token());
    for query in [format!("token={}", lease.token()), format!("key=a&Access_Token={}", lease.token())] {
        let path = format!("/v1/put_artifact?{query}");
        let (status, answer) = scene.request(&path, &[("Authorization", &good)], b"").await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(status == 400 && answer.contains("TokenInUrl") && !answer.contains(lease.token()), "{answer}");
    }
}

#[tokio::test]
async fn what_is_too_much_is_refused_before_it_is_parsed() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let bearer = format!("Bearer {}", lease.token());
    let good = ("Authorization", &*bearer);
    // 100 MB are announced, none of them sent: the answer does not wait for them.
    let announced = [good, ("Content-Length", "100000000")];
    for verb in ["send_message", "submit_task", "put_artifact"] {
        let (status, answer) = scene.request(&format!("/v1/{verb}"), &announced, b"{").await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((status, code(&answer)), (413, "RequestTooLarge"), "{verb}");
    }
    // The same without saying so first.
    let chunk = format!("{:x}\r\n{}\r\n", 200_000, "x".repeat(200_000));
    let head = format!("POST /v1/send_message HTTP/1.1\r\nHost: {}\r\nAuthorization: {bearer}\r\n", scene.host());
    let request = format!("{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert_eq!(scene.exchange(request.as_bytes()).await.0, 413);

    let message = json!({"to": "worker", "type": "x", "payload": "x".repeat(256 << 10)});
    let (status, answer) = scene.ask(&lease, "send_message", &message).await;
    assert_eq!((status, code(&answer)), (413, "MessageTooLarge"));
    let raw = [good, ("Content-Type", "application/octet-stream")];
    let (status, _) = scene.request("/v1/put_artifact?key=large", &raw, &vec![0; 1_000_001]).await;
    assert_eq!(status, 413, "the store's limit holds for what is streamed");
    let (status, _) = scene.request("/v1/get_artifact", &[good], br#"{"key":"large"}"#).await;
    assert_eq!(status, 404, "nothing is half written");

    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (body, status) in [(deep.clone(), 400), (format!(r#"{{"to":"worker","type":"x","payload":{deep}}}"#), 400)] {
        let (found, answer) = scene.request("/v1/send_message", &[good], body.as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((found, code(&answer)), (status, "TooDeep"));
    }
    let packed = [good, ("Content-Encoding", "gzip")];
    for path in ["/v1/send_message", "/v1/put_artifact?key=a"] {
        let headers = [packed[0], packed[1], ("Content-Type", "application/octet-stream")];
        assert_eq!(scene.request(path, &headers, b"{}").await.0, 415, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_named_with_what_is() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    let (status, answer) = scene.ask(&lease, "remember", &json!({})).await;
    assert_eq!((status, code(&answer)), (404, "UnknownVerb"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("submit_task"));
    let (status, answer) = scene.ask(&lease, "report_progress", &json!({"txt": "x"})).await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("`text`"), "{answer}");
    let request = format!(
        "GET /v1/swarm_status HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
        scene.host(),
        lease.token()
    );
    assert_eq!(scene.exchange(request.as_bytes()).await.0, 405);
}

#[tokio::test]
async fn harmful_keys_and_keys_of_the_node_are_refused() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("task").await;
    for key in ["../a", "/etc/passwd", "a\0b", "a\\b", "c:/a", "", "a//b", "-a"] {
        let (status, answer) = scene.ask(&lease, "put_artifact", &json!({"key": key, "text": "x"})).await;
        assert_eq!((status, code(&answer)), (400, "BadKey"), "{key:?}");
    }
    for key in ["results/other/1", "inputs/x"] {
        let (status, answer) = scene.ask(&lease, "put_artifact", &json!({"key": key, "text": "x"})).await;
        assert_eq!((status, code(&answer)), (409, "ReservedKey"), "{key:?}");
    }
    let (status, answer) = scene.ask(&lease, "put_artifact", &json!({"key": "a", "text": "x", "base64": ""})).await;
    assert_eq!((status, code(&answer)), (400, "BadRequest"));
    assert_eq!(scene.done(&lease, "list_artifacts", json!({})).await["artifacts"], json!([]));
}

#[tokio::test]
async fn a_stopping_endpoint_sends_waiters_home_and_takes_nobody_new() {
    let mut scene = Scene::new(&[("worker", &[])]).await;
    let (_held, lease) = scene.attempt("parent").await;
    scene.done(&lease, "submit_task", json!({"id": "child"})).await;
    let authorization = format!("Bearer {}", lease.token());
    let headers = [("Authorization", &*authorization)];
    let waits = scene.request("/v1/wait_for_tasks", &headers, b"");
    let mut status = scene.mesh.status();
    let stop = async {
        soon(status.wait_for(|status| status.running == 2)).await.unwrap();
        soon(scene.endpoint.shutdown()).await;
    };
    let ((status, answer), ()) = tokio::join!(waits, stop);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, code(&answer)), (503, "Stopping"));
    assert!(TcpStream::connect(scene.host()).await.is_err(), "nobody listens");
}
