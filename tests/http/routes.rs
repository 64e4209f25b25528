//! What is answered.

use std::sync::atomic::Ordering::Relaxed;

use crate::rig::Rig;

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

#[test]
fn every_route_answers_to_every_method() {
    let rig = Rig::start();
    let mut asked = 0;
    for (path, status, said) in [
        ("/", 200, "new WebSocket('ws://echo.example:3000')"),
        ("/?a=b", 200, "npx wscat -c ws://echo.example:3000\n"),
        ("http://echo.example/", 200, "what you send comes back"),
        ("/healthz", 200, "ok\n"),
        ("/healthz?verbose", 200, "ok\n"),
        ("/readyz", 200, "ready\n"),
        ("/favicon.ico", 404, "/healthz"),
        ("/healthz/", 404, "/readyz"),
    ] {
        for method in [
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS",
        ] {
            asked += 1;
            let answer = rig.ask(&format!(
                "{method} {path} HTTP/1.1\r\nHost: echo.example:3000\r\n\r\n"
            ));
            let status = match method {
                _ if status == 404 => 404,
                "GET" | "HEAD" => status,
                "OPTIONS" => 204,
                _ => 405,
            };
            assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
            assert_eq!(answer.version, "HTTP/1.1");
            let allowed = matches!(status, 204 | 405).then_some("GET, HEAD, OPTIONS");
            assert_eq!(answer.field("allow"), allowed, "{answer:?}");
            assert_eq!(answer.field("cache-control"), Some("no-store"));
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert!(
                answer
                    .field("date")
                    .is_some_and(|date| date.ends_with(" GMT"))
            );
            if status != 204 {
                assert_eq!(
                    answer.field("content-type"),
                    Some("text/plain; charset=utf-8")
                );
                assert_ne!(answer.field("content-length"), Some("0"), "{answer:?}");
                assert_eq!(answer.body.ends_with('\n'), method != "HEAD", "{answer:?}");
            }
            if method == "GET" {
                assert!(answer.body.contains(said), "{answer:?}");
            }
        }
    }
    assert_eq!(rig.side.sender().counters().requests.load(Relaxed), asked);
}

#[test]
fn the_server_as_a_whole_tells_its_methods() {
    let answer = Rig::start().ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    let allowed = answer.field("allow");
    assert_eq!((answer.status, allowed), (204, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn the_response_to_head_has_the_fields_of_the_get() {
    let rig = Rig::start();
    for path in ["/", "/healthz", "/readyz", "/nothing"] {
        let ask = |method| {
            rig.ask(&format!(
                "{method} {path} HTTP/1.1\r\nHost: a\r\n{BROWSER}\r\n"
            ))
        };
        let (get, head) = (ask("GET"), ask("HEAD"));
        assert_eq!((head.status, head.body.as_str()), (get.status, ""));
        for field in [
            "content-length",
            "content-type",
            "vary",
            "content-security-policy",
        ] {
            assert_eq!(head.field(field), get.field(field), "{path}: {field}");
        }
    }
}

#[test]
fn browsers_get_a_page_and_programs_a_text() {
    let rig = Rig::start();
    let text = rig.ask("GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n");
    let page = rig.ask(&format!("GET / HTTP/1.1\r\nHost: a:1\r\n{BROWSER}\r\n"));
    for answer in [&text, &page] {
        assert_eq!(answer.field("vary"), Some("Accept"), "{answer:?}");
        assert!(
            answer
                .field("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'")
        );
        for place in ["{what}", "{invitation}", "{note}", "HTTP/1.0"] {
            assert!(!answer.body.contains(place), "{place}");
        }
    }
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>") && page.body.contains("href=\"/healthz\""));
    assert!(page.body.contains("npx wscat -c ws://a:1\n"), "{page:?}");
    let evil = rig.ask(&format!(
        "GET / HTTP/1.1\r\nHost: '+alert(1)+'\r\n{BROWSER}\r\n"
    ));
    assert!(
        evil.body.contains("ws://localhost") && !evil.body.contains("alert"),
        "{evil:?}"
    );
}

#[test]
fn http_1_0_is_answered_in_its_own_terms() {
    let rig = Rig::start();
    for accept in ["", BROWSER] {
        let mut client = rig.call(format!("GET / HTTP/1.0\r\n{accept}\r\n"));
        let answer = client.answer(false);
        assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.0", 200));
        assert!(answer.body.contains("proxy_http_version 1.1"), "{answer:?}");
        assert!(answer.body.contains("ws://localhost"), "{answer:?}");
        client.ends();
    }
    let mut client = rig.call("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    for _ in 0..2 {
        let answer = client.answer(false);
        assert_eq!(
            (answer.version.as_str(), answer.body.as_str()),
            ("HTTP/1.0", "ok\n")
        );
        assert_eq!(answer.field("connection"), Some("keep-alive"));
        client.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    }
}

/// A recipient takes a later minor version for its own (RFC 9110, section 2.5).
#[test]
fn a_later_minor_version_is_answered() {
    let rig = Rig::start();
    let answer = rig.ask("GET /healthz HTTP/1.7\r\nHost: a\r\n\r\n");
    assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.1", 200));
}
