//! How a WebSocket is opened, or is not.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::frames::Frame;
use crate::support::request::{self, Response};
use crate::wire::Wire;
use crate::{asking, on_every_engine, open, texts};

#[test]
fn an_upgrade_is_refused_as_was_asked() {
    on_every_engine(&[], |server| {
        let ask = |path| {
            let mut wire = Wire::connect(server);
            wire.send(&asking(path));
            let answer = wire.read_answer("GET");
            answer.assert_refused(answer.status);
            assert!(wire.read_to_end().is_empty());
            answer
        };
        assert_eq!(ask("/x/status/503").status, 503);
        let redirect = ask("/x/redirect?to=/x/echo");
        assert_eq!(redirect.status, 302);
        assert_eq!(redirect.header("location"), Some("/x/echo"));
        let wants = |answer: &Response| answer.header("www-authenticate").map(str::to_owned);
        let basic = ask("/x/auth/basic");
        assert_eq!(basic.status, 401);
        assert!(wants(&basic).is_some_and(|it| it.starts_with("Basic")));
        let bearer = ask("/x/auth/bearer/secret");
        assert_eq!(bearer.status, 401);
        assert!(wants(&bearer).is_some_and(|it| it.starts_with("Bearer")));
    });
}

#[test]
fn credentials_open_it() {
    on_every_engine(&[], |server| {
        for (path, shown) in [
            ("/x/auth/basic", "Basic YW55Ym9keTpwYXNzd29yZA=="),
            ("/x/auth/bearer/secret", "Bearer secret"),
        ] {
            let head = String::from_utf8(asking(path)).expect("ASCII");
            let mut wire = Wire::connect(server);
            let shown = format!("\r\nAuthorization: {shown}\r\n\r\n");
            wire.send(head.replace("\r\n\r\n", &shown).as_bytes());
            wire.read_response().assert_switched();
            wire.assert_echoes("who may");
        }
    });
}

/// It costs a client nothing but the answer: the connection is kept.
#[test]
fn what_is_not_to_be_had_is_told_in_words() {
    on_every_engine(&[], |server| {
        let mut wire = Wire::connect(server);
        for (path, status, words) in [
            ("/x/clse/1001", 404, "/x/close"),
            ("/x/delay/2h", 400, "60s"),
            ("/x/close?after=1&after=2", 400, "twice"),
            ("/x", 200, "/x/close"),
        ] {
            wire.send(&asking(path));
            let answer = wire.read_answer("GET");
            assert_eq!(answer.status, status, "{path}: {answer:?}");
            assert!(answer.body().contains(words), "{path}: {answer:?}");
        }
        wire.send(&asking("/x/echo"));
        wire.read_response().assert_switched();
        wire.assert_echoes("after all");
    });
}

#[test]
fn a_subprotocol_is_agreed_to() {
    on_every_engine(&[], |server| {
        let mut wire = Wire::connect(server);
        wire.send(&asking("/x/subprotocol/chat"));
        let answer = wire.read_response();
        answer.assert_switched();
        assert_eq!(answer.header("sec-websocket-protocol"), Some("chat"));
    });
}

#[test]
fn a_handshake_takes_its_time() {
    on_every_engine(&[], |server| {
        for upgrades in [true, false] {
            let began = Instant::now();
            let mut wire = Wire::connect(server);
            if upgrades {
                wire.send(&asking("/x/slow-handshake/300ms"));
                wire.read_response().assert_switched();
            } else {
                assert_eq!(wire.ask("GET", "/x/slow-handshake/300ms").status, 200);
            }
            assert!(began.elapsed() >= Duration::from_millis(300));
        }
    });
}

/// Both in one write: what a client reads first is both.
#[test]
fn a_greeting_is_glued_to_the_101() {
    on_every_engine(&[], |server| {
        let mut wire = Wire::connect(server);
        wire.send(&asking("/x/greet?text=Hello&glued"));
        let mut first = [0; 4096];
        let count = wire.stream.read(&mut first).expect("an answer");
        let answer = request::read(&first[..count]).expect("a whole head");
        answer.assert_switched();
        assert_eq!(answer.rest, b"\x81\x05Hello");
        wire.assert_echoes("and then an echo");
    });
}

#[test]
fn what_came_with_the_request_is_answered() {
    on_every_engine(&[], |server| {
        let mut wire = Wire::connect(server);
        wire.send(&[asking("/x/upper"), Frame::text("early").encode()].concat());
        wire.read_response().assert_switched();
        assert_eq!(wire.read_exact(7), b"\x81\x05EARLY");
    });
}

/// The same over both, but for what the requests themselves have in them.
#[test]
fn whoever_asks_is_told_who_he_is() {
    on_every_engine(&[], |server| {
        let mut wire = open(server, "/x/whoami");
        let address = wire.stream.local_addr().expect("an address").to_string();
        let seen = wire.read_until(|seen| seen.outcome.messages().count() == 1);
        let mut opened: Value = serde_json::from_str(texts(&seen)[0]).expect("JSON");
        assert_eq!(opened["address"], address);
        assert_eq!(opened["target"], "/x/whoami");
        assert_eq!(opened["headers"][0][0], "Host");
        let mut wire = Wire::connect(server);
        let answer = wire.ask("GET", "/x/whoami");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let mut asked: Value = serde_json::from_str(answer.body()).expect("JSON");
        for told in [&mut opened, &mut asked] {
            (told["address"], told["headers"]) = (Value::Null, Value::Null);
        }
        assert_eq!(opened, asked);
    });
}
