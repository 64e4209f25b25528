//! Engine.IO: opening, heartbeats, messages, closing, over either transport.

use serde_json::json;

use crate::client::{
    ENGINE_IO, Polling, SEPARATOR, SHORT_HEARTBEATS, SOCKET_IO, Seen, Web, ask, server, text,
};
use crate::server::Server;

/// The JSON of an open packet.
fn open_of(packet: &str) -> serde_json::Value {
    let json = packet.strip_prefix('0').expect("an open packet");
    serde_json::from_str(json).expect("JSON")
}

/// Checks an open packet's fields.
fn check_open(packet: &str, upgrades: &serde_json::Value) {
    let open = open_of(packet);
    assert!(open["sid"].as_str().is_some_and(|sid| sid.len() > 10));
    assert_eq!(open["upgrades"], *upgrades);
    assert_eq!(open["pingInterval"], 300);
    assert_eq!(open["pingTimeout"], 200);
    assert_eq!(open["maxPayload"], 65_536);
}

#[test]
fn an_open_packet_says_what_was_set() {
    let options = [&SHORT_HEARTBEATS[..], &["--socket-io-max-payload", "64KiB"]].concat();
    let server = Server::start("epoll", &options);
    for path in [SOCKET_IO, ENGINE_IO] {
        let target = format!("{path}?EIO=4&transport=polling");
        let response = ask(&server, "GET", &target, "", b"");
        assert_eq!(response.status, 200);
        let kind = response.header("content-type").expect("a type");
        assert!(kind.starts_with("text/plain"), "{kind}");
        check_open(response.body(), &json!(["websocket"]));
        let mut web = Web::open(&server, &format!("{path}?EIO=4&transport=websocket"));
        let Seen::Text(open) = web.next() else {
            panic!("no open packet");
        };
        check_open(&open, &json!([]));
    }
}

/// By its path without the slash, too, and whatever else is in the query.
#[test]
fn what_a_client_adds_is_passed_over() {
    let server = server();
    for target in [
        "/engine.io?transport=polling&EIO=4",
        "/engine.io/?t=abc&EIO=4&transport=polling&token=%20x",
        "/socket.io/anything?EIO=4&transport=polling",
    ] {
        assert_eq!(ask(&server, "GET", target, "", b"").status, 200, "{target}");
    }
}

#[test]
fn a_bad_handshake_is_refused_with_the_code_for_it() {
    let server = server();
    for (method, query, code) in [
        ("GET", "EIO=abc&transport=polling", 5),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=abc", 0),
        ("GET", "EIO=4&transport=polling&sid=abc", 1),
        ("GET", "EIO=4&transport=polling&sid=", 1),
        ("POST", "EIO=4&transport=polling", 2),
        ("PUT", "EIO=4&transport=polling", 2),
        ("GET", "EIO=4&transport=websocket", 3),
    ] {
        let response = ask(&server, method, &format!("{ENGINE_IO}?{query}"), "", b"");
        assert_eq!(response.status, 400, "{method} {query}");
        let body: serde_json::Value = serde_json::from_str(response.body()).expect("JSON");
        assert_eq!(body["code"], code, "{method} {query}: {body}");
        assert!(body["message"].is_string());
    }
    for (query, code) in [
        ("EIO=abc&transport=websocket", 5),
        ("EIO=4", 0),
        ("EIO=4&transport=abc", 0),
        ("EIO=4&transport=polling", 3),
        ("EIO=4&transport=websocket&sid=abc", 1),
    ] {
        let (_, response) = Web::ask(&server, &format!("{ENGINE_IO}?{query}"));
        assert_eq!(response.status, 400, "{query}");
        let body: serde_json::Value = serde_json::from_str(response.body()).expect("JSON");
        assert_eq!(body["code"], code, "{query}: {body}");
    }
}

#[test]
fn a_client_that_answers_pings_stays() {
    let server = Server::start("epoll", &SHORT_HEARTBEATS);
    let mut web = Web::session(&server, ENGINE_IO);
    let polling = Polling::open(&server, ENGINE_IO);
    for _ in 0..3 {
        assert_eq!(web.next_with_pings(), text("2"));
        web.say("3");
        polling.say("3");
    }
    web.say("4still here");
    while web.next() != text("4still here") {}
}

#[test]
fn one_that_does_not_is_ended() {
    let server = Server::start("epoll", &SHORT_HEARTBEATS);
    let mut web = Web::session(&server, ENGINE_IO);
    let polling = Polling::open(&server, ENGINE_IO);
    web.ends();
    crate::server::until("the session that polls ends", || {
        (polling.get().status == 400).then_some(())
    });
}

#[test]
fn one_that_never_polls_is_ended() {
    let server = Server::start("epoll", &SHORT_HEARTBEATS);
    let polling = Polling::open_only(&server, ENGINE_IO);
    crate::server::until("it ends", || {
        (polling.post("4x").status == 400).then_some(())
    });
}

#[test]
fn messages_come_back_in_order() {
    let server = server();
    let mut web = Web::session(&server, ENGINE_IO);
    let mut polling = Polling::open(&server, ENGINE_IO);
    for message in ["4hello", "4", "4€ \u{1F600}", "4\"quoted\"\n", "4probe"] {
        web.say(message);
        assert_eq!(web.next(), text(message));
        polling.say(message);
        assert_eq!(polling.next(), message);
    }
    web.say_binary(&[1, 2, 3, 4]);
    assert_eq!(web.next(), Seen::Binary(vec![1, 2, 3, 4]));
    web.say_binary(&[]);
    assert_eq!(web.next(), Seen::Binary(Vec::new()));
    polling.say("bAQIDBA==");
    assert_eq!(polling.next(), "bAQIDBA==");
    let several = ["4a", "bAQID", "4b"].join(&SEPARATOR.to_string());
    polling.say(&several);
    for expected in several.split(SEPARATOR) {
        assert_eq!(polling.next(), expected);
    }
}

/// Over a WebSocket, too, where its frames may be cut as they like.
#[test]
fn the_largest_message_comes_back_and_a_larger_one_ends_the_session() {
    let server = Server::start("epoll", &["--socket-io-max-payload", "64KiB"]);
    let largest = format!("4{}", "x".repeat(65_535));
    let mut web = Web::session(&server, ENGINE_IO);
    web.say(&largest);
    assert_eq!(web.next(), text(&largest[..]));
    web.say(&(largest.clone() + "x"));
    web.ends();
    let mut polling = Polling::open(&server, ENGINE_IO);
    polling.say(&largest);
    assert_eq!(polling.next(), largest);
    let refused = polling.post(largest + "x");
    assert_eq!(refused.status, 413);
    assert!(refused.body().contains("65536 bytes"), "{refused:?}");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_client_closes_its_session() {
    let server = server();
    let mut web = Web::session(&server, ENGINE_IO);
    web.say("1");
    web.ends();
    let polling = Polling::open(&server, ENGINE_IO);
    let mut waiting = polling.start_get();
    crate::client::a_while();
    polling.say("1");
    let last = crate::client::answer(&mut waiting);
    assert_eq!(last.status, 200);
    assert!(["6", "1", ""].contains(&last.body()), "{last:?}");
    assert_eq!(polling.get().status, 400);
}

/// Of an unknown type, of one that only a server sends, of one that does not belong there.
#[test]
fn an_invalid_packet_ends_the_session() {
    let server = server();
    for packet in ["abc", "x", "7", "0{}", "\u{fffd}4"] {
        let mut web = Web::session(&server, ENGINE_IO);
        web.say(packet);
        web.ends();
        let polling = Polling::open(&server, ENGINE_IO);
        assert_eq!(polling.post(packet).status, 400, "{packet}");
        assert_eq!(polling.get().status, 400, "{packet}");
    }
    let polling = Polling::open(&server, ENGINE_IO);
    assert_eq!(polling.post("b%%%").status, 400);
    assert_eq!(polling.get().status, 400);
    let polling = Polling::open(&server, ENGINE_IO);
    assert_eq!(polling.post([b'4', 0xff]).status, 400);
    assert_eq!(polling.get().status, 400);
}
