//! What is answered to an offer (RFC 7692, section 7.1; RFC 6455, section 9.1).

use ringback::protocol::handshake::{self, Answer};
use ringback::protocol::policy::{Elsewhere, Inflate, Policy};

use crate::support::frames::Frame;
use crate::support::pretend::{Pretend, State};
use crate::support::request::{self, Response};

/// The answer to these values of `Sec-WebSocket-Extensions`, each in a line of its own.
fn answer(policy: &Policy, values: &[&str]) -> Response {
    let lines: Vec<_> = values
        .iter()
        .map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n"))
        .collect();
    let head = request::with_header(&lines.concat());
    let mut whole = Pretend::open(policy);
    whole.feed(&head);
    let mut sliced = Pretend::open(policy);
    head.iter().for_each(|byte| sliced.feed(&[*byte]));
    let sent = whole.release();
    assert_eq!(sent, sliced.release(), "cutting changed the answer");
    request::read(&sent).expect("a response")
}

/// What is agreed to by default.
const AGREED: &str = "permessage-deflate; client_no_context_takeover";

fn agreed(values: &[&str]) -> Option<String> {
    let response = answer(&Policy::default(), values);
    assert_eq!(response.status, 101, "{values:?}: {response:?}");
    let extensions = response.header("sec-websocket-extensions");
    let rest = extensions?.strip_prefix(AGREED);
    Some(rest.unwrap_or_else(|| panic!("{extensions:?}")).to_owned())
}

/// An offer and the parameters that are answered to it behind [`AGREED`].
const AGREED_TO: &[(&str, &str)] = &[
    // Firefox, aiohttp, and many libraries.
    ("permessage-deflate", ""),
    // Chromium, Safari, Node `ws`, Python `websockets`.
    ("permessage-deflate; client_max_window_bits", ""),
    // Python `websockets`, if it is told to limit the windows.
    (
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        "; server_max_window_bits=12; client_max_window_bits=12",
    ),
    (
        "permessage-deflate; server_no_context_takeover",
        "; server_no_context_takeover",
    ),
    ("permessage-deflate; client_no_context_takeover", ""),
    (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "; server_no_context_takeover",
    ),
    (
        "permessage-deflate; client_max_window_bits=10; server_max_window_bits=11; \
         client_no_context_takeover; server_no_context_takeover",
        "; server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=10",
    ),
    // A client's limit on itself is its own affair.
    ("permessage-deflate; client_max_window_bits=8", ""),
    ("permessage-deflate; client_max_window_bits=15", ""),
    // Its window may not be larger than the server's.
    (
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits",
        "; server_max_window_bits=9; client_max_window_bits=9",
    ),
    (
        "permessage-deflate; server_max_window_bits=15; client_max_window_bits=15",
        "; server_max_window_bits=15; client_max_window_bits=15",
    ),
    (
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=14",
        "; server_max_window_bits=10; client_max_window_bits=10",
    ),
    (
        "permessage-deflate; server_max_window_bits=10; client_max_window_bits=8",
        "; server_max_window_bits=10; client_max_window_bits=8",
    ),
    // Quotes, escapes and spaces.
    (
        "permessage-deflate; server_max_window_bits=\"10\"; client_max_window_bits=\"1\\2\"",
        "; server_max_window_bits=10; client_max_window_bits=10",
    ),
    (
        " \tpermessage-deflate \t;\tserver_max_window_bits = 10 ;client_max_window_bits\t",
        "; server_max_window_bits=10; client_max_window_bits=10",
    ),
    (
        "permessage-deflate;server_no_context_takeover",
        "; server_no_context_takeover",
    ),
    // The first that can be met of several.
    (
        "permessage-deflate, permessage-deflate; server_no_context_takeover",
        "",
    ),
    ("x-webkit-deflate-frame, permessage-deflate", ""),
    ("x; a; b=c; d=\"e\", permessage-deflate", ""),
    (
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
        "",
    ),
    (
        "permessage-deflate; unknown, permessage-deflate; server_no_context_takeover",
        "; server_no_context_takeover",
    ),
    (",, permessage-deflate ,,", ""),
];

/// Offers that are declined.
const DECLINED: &[&str] = &[
    "",
    " , ,",
    "x-webkit-deflate-frame",
    "permessage-bzip2",
    "Permessage-Deflate",
    "permessage-deflate; server_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=10; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits",
    "permessage-deflate; server_max_window_bits; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=8; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=7; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=16; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=010; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=1.0; client_max_window_bits",
    "permessage-deflate; server_max_window_bits=-10; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=7",
    "permessage-deflate; client_max_window_bits=08",
    "permessage-deflate; client_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=150",
    "permessage-deflate; client_max_window_bits=x",
    "permessage-deflate; server_no_context_takeover=true",
    "permessage-deflate; client_no_context_takeover=\"1\"",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; client_max_window_bits; client_max_window_bits",
    "permessage-deflate; client_max_window_bits; client_max_window_bits=10",
    "permessage-deflate; client_max_window_bits; server_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; unknown",
    "permessage-deflate; unknown=1",
    "permessage-deflate; Server_No_Context_Takeover",
];

/// Values that are no list of extensions.
const MALFORMED: &[&str] = &[
    ";",
    "permessage-deflate;",
    "permessage-deflate; ;",
    "permessage-deflate; =1",
    "permessage-deflate; client_max_window_bits=",
    "permessage-deflate; client_max_window_bits=;",
    "permessage-deflate; client_max_window_bits=\"\"",
    "permessage-deflate; client_max_window_bits=\"10",
    "permessage-deflate; client_max_window_bits=\"10\\",
    "permessage-deflate; client_max_window_bits=\"1 0\"",
    "permessage-deflate; client_max_window_bits=\"10\"0",
    "permessage-deflate; client_max_window_bits=10 12",
    "permessage-deflate client_max_window_bits",
    "permessage-deflate, x y",
    "permessage-deflate=1",
    "\"permessage-deflate\"",
    "(permessage-deflate)",
    "permessage-d\u{e9}flate",
    "x; a=b=c",
];

#[test]
fn each_offer_has_its_answer() {
    for (offer, parameters) in AGREED_TO {
        assert_eq!(agreed(&[offer]).as_deref(), Some(*parameters), "{offer}");
    }
    for offer in DECLINED {
        assert_eq!(agreed(&[offer]), None, "{offer}");
    }
}

#[test]
fn what_is_no_list_of_extensions_is_refused() {
    for offer in MALFORMED {
        for values in [
            &[*offer][..],
            &["permessage-deflate", offer],
            &[offer, "permessage-deflate"],
        ] {
            let response = answer(&Policy::default(), values);
            response.assert_refused(400);
            let body = response.body();
            assert!(
                body.contains("Sec-WebSocket-Extensions is not of the form"),
                "{body}"
            );
        }
    }
}

#[test]
fn several_lines_are_one_list() {
    for (lines, parameters) in [
        (
            &["permessage-deflate; unknown", "permessage-deflate"][..],
            Some(""),
        ),
        (
            &[
                "x",
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate",
            ],
            Some("; server_no_context_takeover"),
        ),
        (
            &[
                "permessage-deflate",
                "permessage-deflate; server_no_context_takeover",
            ],
            Some(""),
        ),
        (&["", "x", ","], None),
    ] {
        assert_eq!(agreed(lines).as_deref(), parameters, "{lines:?}");
    }
}

/// A name that comes in any case, beside a subprotocol.
#[test]
fn it_goes_with_a_subprotocol() {
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(&request::with_header(
        "SEC-WEBSOCKET-EXTENSIONS: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n",
    ));
    let response = request::read(&pretend.release()).expect("a response");
    response.assert_switched_with(Some(AGREED));
    assert_eq!(response.header("sec-websocket-protocol"), Some("chat"));
}

/// Where answers are made anew, or by somebody else, or the operator does not want it.
#[test]
fn nothing_is_agreed_on_where_messages_do_not_come_back_as_they_are() {
    let offer = "permessage-deflate; client_max_window_bits";
    let prefixed = Policy {
        prefix: Some("> ".into()),
        ..Policy::default()
    };
    let off = Policy {
        deflate: None,
        ..Policy::default()
    };
    for policy in [&prefixed, &off] {
        answer(policy, &[offer]).assert_switched();
        answer(policy, &["a b"]).assert_refused(400);
    }
    let elsewhere = Policy {
        http: true,
        elsewhere: vec![Elsewhere {
            path: "/chat".to_owned(),
            speaks_engine_io: false,
        }],
        ..Policy::default()
    };
    let mut pretend = Pretend::open(&elsewhere);
    pretend.feed(&request::with_header(&format!(
        "Sec-WebSocket-Extensions: {offer}\r\n"
    )));
    assert_eq!(pretend.state, State::HandedOver);
    match handshake::answer(&pretend.handed_over, &elsewhere) {
        Ok(Answer::Elsewhere(accepted)) => assert_eq!(accepted.deflate, None),
        other => panic!("{other:?}"),
    }
    let unchecked = Policy {
        deflate: Some(Inflate::Never),
        ..Policy::default()
    };
    answer(&unchecked, &[offer]).assert_switched_with(Some(AGREED));
}

/// A 101 with an extension may be longer than the shortest head that asks for it, and never writes over what follows.
#[test]
fn a_frame_right_behind_the_head_is_answered() {
    let policy = Policy::default();
    let head = "GET / HTTP/1.1\r\nHost:\r\nUpgrade:websocket\r\nConnection:upgrade\r\n\
        Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:13\r\n\
        Sec-WebSocket-Extensions:permessage-deflate\r\n\r\n";
    let bytes = [head.as_bytes(), &Frame::text("hello").encode()].concat();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(&bytes);
    let response = request::read(&pretend.release()).expect("a response");
    response.assert_switched_with(Some(AGREED));
    assert_eq!(response.rest, b"\x81\x05hello");
}
