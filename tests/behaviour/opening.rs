//! How the request is answered, and what comes first.

use std::time::Duration;

use ringback::behaviour::{Answer, Ask, Credentials, Greeting, Refused};

use super::rig::{Ended, Rig, ms};
use super::support::frames::Frame;
use super::support::request::{self, Response};

fn response(ask: &Ask, lines: &str) -> Response {
    let rig = Rig::open_with(ask, lines, 1);
    let response = request::read(&rig.sent()).expect("a response");
    let is_refused = response.status != 101;
    assert_eq!(rig.end(), is_refused.then_some(Ended::Fin));
    response
}

#[test]
fn another_status_is_a_whole_response() {
    for (status, with) in [
        (503, Some(("retry-after", "1"))),
        (401, Some(("www-authenticate", "Basic realm=\"ringback\""))),
        (405, Some(("allow", "GET"))),
        (
            407,
            Some(("proxy-authenticate", "Basic realm=\"ringback\"")),
        ),
        (426, Some(("upgrade", "websocket"))),
        (599, None),
        (200, None),
    ] {
        let answer = Answer::Status(status);
        let response = response(
            &Ask {
                answer,
                ..Ask::default()
            },
            "",
        );
        response.assert_refused(status);
        assert!(response.body().contains(&status.to_string()));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(
            response.header("date"),
            Some("Tue, 14 Nov 2023 22:13:20 GMT")
        );
        if let Some((name, value)) = with {
            assert_eq!(response.header(name), Some(value));
        }
    }
    for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
        let answer = Answer::Status(status);
        let ask = Ask {
            answer,
            ..Ask::default()
        };
        let refused = Refused::of(&ask, &request::upgrade());
        assert_eq!(refused.map(|it| it.text), Some(String::new()));
        let response = response(&ask, "");
        assert_eq!(
            (response.status, response.header("content-length")),
            (status, length)
        );
        assert!(response.rest.is_empty());
    }
}

#[test]
fn a_redirect_says_where_to_and_nothing_else() {
    let answer = Answer::Redirect("/x/echo?a=\r\nSet-Cookie: b \u{e9}".into());
    let response = response(
        &Ask {
            answer,
            ..Ask::default()
        },
        "",
    );
    response.assert_refused(302);
    let location = response.header("location");
    assert_eq!(location, Some("/x/echo?a=%0D%0ASet-Cookie:%20b%20%C3%A9"));
    assert_eq!(response.header("set-cookie"), None);
}

#[test]
fn who_does_not_show_credentials_is_told_which() {
    let token = Credentials::Bearer("s3cret".into());
    for (wanted, shown, status) in [
        (Credentials::Basic, "", 401),
        (
            Credentials::Basic,
            "Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n",
            101,
        ),
        (
            Credentials::Basic,
            "authorization: basic OnBhc3N3b3Jk\r\n",
            101,
        ),
        (
            Credentials::Basic,
            "Authorization: Basic dXNlcjpwYXNzd29yZDpi\r\n",
            401,
        ),
        (Credentials::Basic, "Authorization: Basic !\r\n", 401),
        (Credentials::Basic, "Authorization: Bearer s3cret\r\n", 401),
        (token.clone(), "", 401),
        (token.clone(), "Authorization: Bearer s3cret\r\n", 101),
        (token.clone(), "Authorization: Bearer s3cre\r\n", 401),
        (token, "Authorization: Bearers3cret\r\n", 401),
    ] {
        let challenge = match wanted {
            Credentials::Basic => "Basic realm=\"ringback\", charset=\"UTF-8\"",
            Credentials::Bearer(_) => "Bearer realm=\"ringback\"",
        };
        let credentials = Some(wanted);
        let ask = Ask {
            credentials,
            answer: Answer::Switch,
            ..Ask::default()
        };
        let response = response(&ask, shown);
        assert_eq!(response.status, status, "{ask:?} {shown}");
        let challenged = response.header("www-authenticate");
        assert_eq!(challenged, (status == 401).then_some(challenge));
    }
}

#[test]
fn a_slow_handshake_delays_any_answer() {
    for answer in [Answer::Switch, Answer::Status(404)] {
        let slow_handshake = Duration::from_secs(2);
        let mut rig = Rig::open(&Ask {
            slow_handshake,
            answer,
            ..Ask::default()
        });
        rig.wait(Duration::from_secs(10));
        assert_eq!(rig.writes.len(), 1);
        assert_eq!(rig.writes[0].0, slow_handshake);
    }
}

#[test]
fn a_subprotocol_is_agreed_to_whatever_is_offered() {
    let subprotocol = |name: &str| Some(name.to_owned());
    for (asked, offered, agreed) in [
        (None, "", None),
        (None, "Sec-WebSocket-Protocol: a, b\r\n", Some("a")),
        (
            subprotocol("b"),
            "Sec-WebSocket-Protocol: a, b\r\n",
            Some("b"),
        ),
        (subprotocol("chat"), "", Some("chat")),
    ] {
        let ask = Ask {
            subprotocol: asked,
            ..Ask::default()
        };
        let response = response(&ask, offered);
        response.assert_switched();
        assert_eq!(response.header("sec-websocket-protocol"), agreed);
    }
}

#[test]
fn a_greeting_comes_with_the_101_or_behind_it() {
    for (glued, writes) in [
        (true, vec![ms(0), ms(0)]),
        (false, vec![ms(0), ms(20), ms(20)]),
    ] {
        let text = "Hello".into();
        let mut rig = Rig::open(&Ask {
            greeting: Some(Greeting { text, glued }),
            ..Ask::default()
        });
        rig.feed_frames(&[Frame::text("a")]);
        rig.wait(ms(50));
        assert_eq!(rig.writes[0].1.ends_with(b"\r\n\r\n\x81\x05Hello"), glued);
        assert!(rig.sent().ends_with(b"\r\n\r\n\x81\x05Hello\x81\x01a"));
        let last = rig.writes.last().map(|(time, _)| *time);
        assert_eq!(last, writes.last().copied());
    }
}

#[test]
fn a_glued_greeting_comes_in_fragments_where_messages_do() {
    let text = "Hello".into();
    let rig = Rig::open(&Ask {
        greeting: Some(Greeting { text, glued: true }),
        fragment: Some(3),
        ..Ask::default()
    });
    assert_eq!(rig.writes.len(), 1);
    assert!(rig.sent().ends_with(b"\r\n\r\n\x01\x03Hel\x80\x02lo"));
}
