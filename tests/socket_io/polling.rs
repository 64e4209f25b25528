//! Long polling, and the way from it to a WebSocket.

use crate::client::{
    ENGINE_IO, Polling, SEPARATOR, SOCKET_IO, Seen, Web, a_while, answer, ask, server, text,
};
use crate::server::Server;

#[test]
fn a_poll_waits_until_there_is_something_to_tell() {
    let server = server();
    let polling = Polling::open(&server, ENGINE_IO);
    let mut waiting = polling.start_get();
    a_while();
    polling.say("4late");
    assert_eq!(answer(&mut waiting).body(), "4late");
}

#[test]
fn two_polls_at_once_end_the_session() {
    let server = server();
    let polling = Polling::open(&server, ENGINE_IO);
    let mut waiting = polling.start_get();
    a_while();
    assert_eq!(polling.get().status, 400);
    assert_eq!(answer(&mut waiting).status, 200);
    assert_eq!(polling.post("4x").status, 400);
}

#[test]
fn a_session_goes_on_as_a_websocket() {
    let server = server();
    let mut polling = Polling::open(&server, SOCKET_IO);
    polling.join();
    let mut waiting = polling.start_get();
    a_while();
    let mut web = polling.upgrade();
    web.say("2probe");
    assert_eq!(web.next(), text("3probe"));
    let last = answer(&mut waiting);
    assert_eq!((last.status, last.body()), (200, "6"));
    // What is said before the upgrade is complete is told after it.
    polling.say("42[\"message\",1]");
    web.say("5");
    assert_eq!(web.next(), text("42[\"message\",1]"));
    assert_eq!(web.next(), text("42[\"message-back\",1]"));
    web.say("42[\"message\",2]");
    assert_eq!(web.next(), text("42[\"message\",2]"));
    assert_eq!(polling.get().status, 400);
    assert_eq!(polling.post("4x").status, 400);
}

/// A second WebSocket of a session that has one.
#[test]
fn what_is_a_websocket_is_upgraded_no_more() {
    let server = server();
    let polling = Polling::open(&server, ENGINE_IO);
    let mut web = polling.upgrade();
    web.say("2probe");
    assert_eq!(web.next(), text("3probe"));
    web.say("5");
    web.say("4first");
    assert_eq!(web.next(), text("4first"));
    polling.upgrade().ends();
    web.say("4second");
    assert_eq!(web.next(), text("4second"));
}

/// The library pauses the heartbeat of a session while it is upgraded.
#[test]
fn an_upgrade_that_fails_ends_its_session() {
    let server = server();
    for packet in ["3probe", "4hello", "5", "2", ""] {
        let polling = Polling::open(&server, ENGINE_IO);
        let mut web = polling.upgrade();
        web.say(packet);
        web.ends();
        crate::server::until("the session ends", || {
            (polling.post("4x").status == 400).then_some(())
        });
    }
    let polling = Polling::open(&server, ENGINE_IO);
    drop(polling.upgrade());
    crate::server::until("the session ends", || {
        (polling.post("4x").status == 400).then_some(())
    });
}

#[test]
fn a_page_from_anywhere_may_ask() {
    let server = server();
    let lines = "Origin: https://example.org\r\nAccess-Control-Request-Method: POST\r\n\
        Access-Control-Request-Headers: content-type,x-token\r\n";
    let target = format!("{SOCKET_IO}?EIO=4&transport=polling");
    let preflight = ask(&server, "OPTIONS", &target, lines, b"");
    assert_eq!(preflight.status, 204);
    let field = |name| preflight.header(name);
    assert_eq!(field("access-control-allow-origin"), Some("*"));
    assert_eq!(
        field("access-control-allow-headers"),
        Some("content-type,x-token")
    );
    assert!(field("access-control-allow-methods").is_some_and(|it| it.contains("POST")));
    let origin = "Origin: https://example.org\r\n";
    let open = ask(&server, "GET", &target, origin, b"");
    assert_eq!(open.header("access-control-allow-origin"), Some("*"));
    let refused = ask(&server, "GET", SOCKET_IO, origin, b"");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

/// As a client of JavaScript sends them: all that wait, in one payload, while it polls.
#[test]
fn a_thousand_events_at_once_are_answered_in_order() {
    let server = server();
    let mut polling = Polling::open(&server, SOCKET_IO);
    polling.join();
    let events: Vec<_> = (0..1000).map(|n| format!("42[\"message\",{n}]")).collect();
    let payload = events.join(&SEPARATOR.to_string());
    let mut posting =
        crate::client::send(&server, "POST", &polling.target(), "", payload.as_bytes());
    for n in 0..1000 {
        assert_eq!(polling.next(), format!("42[\"message\",{n}]"));
        assert_eq!(polling.next(), format!("42[\"message-back\",{n}]"));
    }
    assert_eq!(answer(&mut posting).body(), "ok");
    let mut web = Web::joined(&server);
    for event in &events {
        web.say(event);
    }
    for n in 0..1000 {
        assert_eq!(web.next(), text(format!("42[\"message\",{n}]")));
        assert_eq!(web.next(), text(format!("42[\"message-back\",{n}]")));
    }
}

#[test]
fn the_path_is_where_it_was_put() {
    let server = Server::start("epoll", &["--socket-io-path", "/chat/io"]);
    let polling = ask(&server, "GET", "/chat/io/?EIO=4&transport=polling", "", b"");
    assert_eq!(polling.status, 200);
    let mut web = Web::session(&server, "/chat/io/");
    web.say("40");
    assert!(matches!(web.next(), Seen::Text(joined) if joined.starts_with("40{")));
    let elsewhere = ask(
        &server,
        "GET",
        "/socket.io/?EIO=4&transport=polling",
        "",
        b"",
    );
    assert_ne!(elsewhere.status, 200);
    let off = Server::start("epoll", &["--no-socket-io"]);
    let target = "/socket.io/?EIO=4&transport=polling";
    assert_ne!(ask(&off, "GET", target, "", b"").status, 200);
}
