//! What is there to try other things with than an echo, as far as it is ordinary HTTP, and how much of it there may
//! be at once.

use std::io::{Read, Write};

use ringback::behaviour::table::ENTRIES;
use ringback::http::Behaviours;
use serde_json::Value;

use crate::rig::{Answer, PATIENCE, Rig, SHORT, UPGRADE, patient};

fn get(rig: &Rig, path: &str, fields: &str) -> Answer {
    rig.ask(&format!(
        "GET {path} HTTP/1.1\r\nHost: a.example:1\r\n{fields}\r\n"
    ))
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_str(&answer.body).expect("JSON")
}

/// The head that asks for a WebSocket at `path`.
fn asking(path: &str) -> String {
    UPGRADE.replacen("/chat", path, 1)
}

#[test]
fn all_there_is_is_listed_in_three_forms() {
    let rig = Rig::start();
    for path in ["/x", "/x/", "/x?any"] {
        let text = get(&rig, path, "Accept: */*\r\n");
        let page = get(&rig, path, "Accept: text/html,*/*;q=0.8\r\n");
        let list = get(&rig, path, "Accept: application/json\r\n");
        for answer in [&text, &page, &list] {
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("vary"), Some("Accept"));
        }
        let groups = json(&list)["groups"].clone();
        let groups = groups.as_array().expect("a list");
        let listed: Vec<_> = groups
            .iter()
            .flat_map(|group| group["entries"].as_array().expect("a list"))
            .collect();
        assert_eq!(listed.len(), ENTRIES.len());
        for entry in &ENTRIES {
            let written = entry.written();
            assert!(text.body.contains(&written), "{written}");
            assert!(page.body.contains(&written), "{written}");
            assert!(listed.iter().any(|it| it["syntax"] == written), "{written}");
        }
        let policy = page.field("content-security-policy").expect("one");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
        for place in ["{style}", "{title}", "{content}"] {
            assert!(!page.body.contains(place), "{place}");
        }
    }
}

#[test]
fn a_path_tells_what_it_would_be() {
    let rig = Rig::start();
    let path = "/x/close/1001?after=3&reason=it's&delay=200ms";
    let told = get(&rig, path, "");
    let target = "/x/close/1001?after=3&reason=it%27s&delay=200ms";
    let command = format!("npx wscat -c 'ws://a.example:1{target}'\n");
    assert!(told.body.contains(&command), "{told:?}");
    let page = get(&rig, path, "Accept: text/html\r\n");
    assert!(page.body.contains("after=3&amp;reason"), "{page:?}");
    assert!(!page.body.contains("it's"), "{page:?}");
    let listed = json(&get(&rig, path, "Accept: application/json\r\n"));
    let entries = listed["entries"].as_array().expect("a list").iter();
    let names: Vec<_> = entries.map(|entry| entry["name"].clone()).collect();
    assert_eq!(names, ["close", "delay"]);
    for (path, status, words) in [
        ("/x/clse/1001", 404, "/x/close"),
        ("/x/close/99", 400, "1000-1003"),
        ("/x/delay/61s", 400, "60s"),
    ] {
        let answer = get(&rig, path, "");
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(words), "{answer:?}");
    }
}

#[test]
fn what_comes_before_a_websocket_comes_over_http_too() {
    let rig = Rig::start();
    assert_eq!(get(&rig, "/x/status/418", "").status, 418);
    let redirect = get(&rig, "/x/redirect?to=/x/upper", "");
    assert_eq!(
        (redirect.status, redirect.field("location")),
        (302, Some("/x/upper"))
    );
    let asks = get(&rig, "/x/auth/basic", "");
    assert_eq!(asks.status, 401);
    assert!(asks.field("www-authenticate").is_some());
    let shown = "Authorization: Basic YTpwYXNzd29yZA==\r\n";
    assert_eq!(get(&rig, "/x/auth/basic", shown).status, 200);
    let told = json(&get(
        &rig,
        "/x/whoami?upper",
        "X-Case: Kept\r\nCookie: a=b\r\n",
    ));
    let fields = serde_json::json!([
        ["Host", "a.example:1"],
        ["X-Case", "Kept"],
        ["Cookie", "(hidden)"]
    ]);
    assert_eq!(told["headers"], fields);
}

#[test]
fn what_was_received_is_told() {
    let rig = Rig::start();
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        let request = format!(
            "{method} /http/any%20where?a=b HTTP/1.1\r\nHost: a\r\nX-B: 2\r\nx-A: 1\r\nX-B: 3\r\n\
            Authorization: Basic c2VjcmV0\r\nContent-Length: 5\r\n\r\nhello"
        );
        let told = json(&rig.ask(&request));
        assert_eq!(told["method"], method);
        assert_eq!(told["target"], "/http/any%20where?a=b");
        assert_eq!(told["http"], "1.1");
        let fields = serde_json::json!([
            ["Host", "a"],
            ["X-B", "2"],
            ["x-A", "1"],
            ["X-B", "3"],
            ["Authorization", "(hidden)"],
            ["Content-Length", "5"]
        ]);
        assert_eq!(told["headers"], fields, "{method}");
        assert_eq!(told["body"]["text"], "hello");
        assert!(
            told["address"]
                .as_str()
                .expect("one")
                .starts_with("127.0.0.1:")
        );
    }
    let mut client = rig.call("POST /http HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    client.send(b"\xff\xfe");
    let told = json(&client.answer(false));
    assert_eq!(
        told["body"],
        serde_json::json!({ "length": 2, "base64": "//4=" })
    );
    let old = get(&rig, "/http/", "");
    assert_eq!(json(&old)["body"]["length"], 0);
    let mut client = rig.call("PUT /http HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
    let answer = client.answer(false);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
}

/// All that comes on a connection that asks for `path` and then sends FIN, once it is over.
fn all(rig: &Rig, path: &str, fields: &str) -> String {
    let mut client = rig.call(format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n"
    ));
    let mut all = String::new();
    client.stream.read_to_string(&mut all).expect("UTF-8");
    all
}

#[test]
fn events_come_in_order_and_go_on_where_they_ended() {
    let rig = Rig::start();
    let ids = |answer: &str| -> Vec<u32> {
        let lines = answer.lines().filter_map(|line| line.strip_prefix("id: "));
        lines.map(|id| id.parse().expect("a number")).collect()
    };
    let answer = all(&rig, "/sse?every=10ms&n=5", "");
    assert!(
        answer.contains("content-type: text/event-stream\r\n"),
        "{answer}"
    );
    assert_eq!(ids(&answer), [1, 2, 3, 4, 5]);
    assert!(answer.contains("data: {\"n\":5,\"time\":"), "{answer}");
    assert!(answer.ends_with("0\r\n\r\n"), "{answer}");
    let answer = all(&rig, "/sse?every=10ms&n=5", "Last-Event-ID: 3\r\n");
    assert_eq!(ids(&answer), [4, 5]);
    let seen_all = get(&rig, "/sse?n=5", "Last-Event-ID: 5\r\n");
    assert_eq!(seen_all.status, 204, "a browser is not to come again");
    for (path, fields, words) in [
        ("/sse?every=9ms", "", "10ms"),
        ("/sse?every=soon", "", "10ms"),
        ("/sse?n=1001", "", "1000"),
        ("/sse?n", "", "1000"),
        ("/sse?time=3", "", "every=1s&n=10"),
        ("/sse", "Last-Event-ID: last\r\n", "number"),
    ] {
        let answer = get(&rig, path, fields);
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.body.contains(words), "{path}: {answer:?}");
    }
}

#[test]
fn what_lasts_ends_in_a_drain() {
    let rig = Rig::start();
    let mut client = rig.call("GET /sse?every=60s&n=1000 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut begin = [0; 1024];
    assert!(client.stream.read(&mut begin).expect("a head") > 0);
    let mut slow = rig.call("GET /x/slow-handshake/60s HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.side.drain();
    let mut rest = String::new();
    client.stream.read_to_string(&mut rest).expect("UTF-8");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(slow.answer(false).status, 200);
    slow.shut_down();
    slow.ends();
    rig.side.finish(PATIENCE);
}

/// It takes longer than an answer may otherwise.
#[test]
fn what_is_asked_to_last_is_waited_for() {
    let (mut settings, mut policy) = patient();
    settings.body_timeout = SHORT;
    policy.stall_timeout = SHORT;
    let rig = Rig::start_with(settings, policy);
    assert_eq!(get(&rig, "/x/slow-handshake/300ms", "").status, 200);
    assert!(all(&rig, "/sse?every=50ms&n=8", "").ends_with("0\r\n\r\n"));
}

#[test]
fn pages_of_anywhere_may_read_it() {
    let rig = Rig::start();
    let asked = "Origin: http://b\r\nAccess-Control-Request-Method: PUT\r\n";
    for path in [
        "/x",
        "/x/status/503",
        "/x/nothing",
        "/http",
        "/http/below",
        "/sse?n=0",
    ] {
        let answer = get(&rig, path, "Origin: http://b\r\n");
        assert_eq!(
            answer.field("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let preflight = rig.ask(&format!(
            "OPTIONS {path} HTTP/1.1\r\nHost: a\r\n{asked}\r\n"
        ));
        assert_eq!(preflight.status, 204);
        assert_eq!(preflight.field("access-control-allow-origin"), Some("*"));
        let methods = preflight
            .field("access-control-allow-methods")
            .expect("some");
        assert!(methods.contains("PUT"), "{methods}");
        let fields = preflight
            .field("access-control-allow-headers")
            .expect("some");
        assert!(fields.contains("Authorization"), "{fields}");
    }
    assert_eq!(
        get(&rig, "/", "").field("access-control-allow-origin"),
        None
    );
}

#[test]
fn what_is_switched_off_is_not_there() {
    let (mut settings, policy) = patient();
    settings.behaviours = None;
    let rig = Rig::start_with(settings, policy);
    for path in ["/x", "/x/echo", "/http", "/sse"] {
        let answer = get(&rig, path, "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.body.contains("/sse"), "{answer:?}");
    }
    assert!(get(&Rig::start(), "/nothing", "").body.contains("/sse"));
    let client = rig.call(asking("/x/close/1001"));
    let given_back = rig
        .upgrades
        .recv_timeout(PATIENCE)
        .expect("it is an upgrade");
    assert_eq!(given_back.unread, asking("/x/close/1001").as_bytes());
    drop(client);
}

/// What lasts has places of its own, and the end of one is the beginning of another.
#[test]
fn what_lasts_takes_no_place_from_the_others() {
    let (mut settings, policy) = patient();
    settings.behaviours = Some(Behaviours { connections_max: 2 });
    let rig = Rig::start_with(settings, policy);
    let mut first = rig.call(asking("/x/echo"));
    assert_eq!(first.answer(true).status, 101);
    let mut events = rig.call("GET /sse?every=60s HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(events.stream.read(&mut [0; 1024]).expect("a head") > 0);
    for request in [
        &asking("/x/echo"),
        "GET /sse HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x/slow-handshake/1s HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = rig.call(request);
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.closes()), (503, true), "{answer:?}");
        assert_eq!(answer.field("retry-after"), Some("1"));
        client.shut_down();
        client.ends();
    }
    for path in ["/healthz", "/x"] {
        assert_eq!(get(&rig, path, "").status, 200, "{path}");
    }
    first.send([0x88, 0x80, 1, 2, 3, 4]);
    first.shut_down();
    first.is_ended();
    let mut next = rig.call(asking("/x/echo"));
    assert_eq!(next.answer(true).status, 101);
}

/// Who keeps much loses the connection where there is no memory for it; who keeps little is served.
#[test]
fn what_is_kept_is_bounded() {
    let (mut settings, policy) = patient();
    settings.held_bytes_max = 100_000;
    let rig = Rig::start_with(settings, policy);
    let open = |path: &str| {
        let mut client = rig.call(asking(path));
        assert_eq!(client.answer(true).status, 101);
        client
    };
    let mut little = open("/x/delay/100ms");
    let unfinished = [
        &[0x82, 0xff, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0][..],
        &[7; 262_143],
    ]
    .concat();
    for path in ["/x/echo", "/x/delay/60s", "/x/broadcast/a"] {
        let mut much = open(path);
        // The end may come before all is sent.
        let _ = much.stream.write_all(&unfinished);
        much.is_ended();
    }
    little.send(b"\x81\x85\0\0\0\0hello");
    let mut echo = [0; 7];
    little.stream.read_exact(&mut echo).expect("an echo");
    assert_eq!(&echo, b"\x81\x05hello");
}
