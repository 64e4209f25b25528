//! Offers of permessage-deflate, and what is answered to them.

use super::Table;
use crate::check::agreement::{agreed, is_deflate};
use crate::check::case::{Case, Rule, must};
use crate::check::exchange::{Finish, Replies};
use crate::check::head::{Head, KEY, Response};
use crate::check::inflate::deflated;
use crate::check::peer::{Incoming, Peer};
use crate::check::verdict::Finding;
use crate::check::wire::text;

const NAME: &str = "Sec-WebSocket-Extensions";

const ANSWER: Rule = must(
    "RFC 7692, 7.1",
    "what is agreed to has the parameters of the offer that must be answered, and none that may not",
);
const DECLINE: Rule = must(
    "RFC 7692, 7",
    "an offer with a parameter that is unknown, repeated or of an invalid value is declined",
);
const FORM: Rule = must(
    "RFC 6455, 9.1",
    "a list of extensions that does not meet its grammar fails the handshake",
);
const EMPTY: Rule = must(
    "RFC 9110, 5.6.1.2",
    "a recipient passes over empty elements of a list",
);

/// Offers that may be agreed to or declined, a field each.
const LAWFUL: [(&str, &[&str]); 18] = [
    ("plain", &["permessage-deflate"]),
    (
        "server-no-context-takeover",
        &["permessage-deflate; server_no_context_takeover"],
    ),
    (
        "client-no-context-takeover",
        &["permessage-deflate; client_no_context_takeover"],
    ),
    (
        "server-window-10",
        &["permessage-deflate; server_max_window_bits=10"],
    ),
    (
        "server-window-8",
        &["permessage-deflate; server_max_window_bits=8; client_max_window_bits"],
    ),
    (
        "server-window-15",
        &["permessage-deflate; server_max_window_bits=15"],
    ),
    (
        "client-window",
        &["permessage-deflate; client_max_window_bits"],
    ),
    (
        "client-window-9",
        &["permessage-deflate; client_max_window_bits=9"],
    ),
    (
        "both-windows",
        &["permessage-deflate; server_max_window_bits=9; client_max_window_bits=12"],
    ),
    (
        "all-four",
        &[
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=12; client_max_window_bits=12",
        ],
    ),
    (
        "quoted",
        &["permessage-deflate; server_max_window_bits=\"12\"; client_max_window_bits=\"12\""],
    ),
    (
        "no-spaces",
        &["permessage-deflate;server_no_context_takeover;client_max_window_bits"],
    ),
    (
        "odd-spaces",
        &["\tpermessage-deflate  ;\tserver_no_context_takeover ;  client_max_window_bits\t"],
    ),
    (
        "behind-unknown",
        &["x-unknown; a=1; b=\"2\", permessage-deflate"],
    ),
    (
        "two-preferences",
        &[
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits, \
             permessage-deflate; client_no_context_takeover",
        ],
    ),
    ("twice", &["permessage-deflate, permessage-deflate"]),
    (
        "in-two-fields",
        &[
            "x-unknown",
            "permessage-deflate; server_no_context_takeover",
        ],
    ),
    (
        "right-behind-wrong",
        &["permessage-deflate; foo, permessage-deflate; server_no_context_takeover"],
    ),
];

/// Offers that must be declined.
const WRONG: [(&str, &str); 15] = [
    ("unknown-parameter", "foo"),
    ("unknown-parameter-with-value", "foo=1"),
    (
        "repeated",
        "server_no_context_takeover; server_no_context_takeover",
    ),
    (
        "repeated-window",
        "client_max_window_bits=10; client_max_window_bits=10",
    ),
    ("server-takeover-with-value", "server_no_context_takeover=1"),
    (
        "client-takeover-with-value",
        "client_no_context_takeover=true",
    ),
    ("server-window-without-value", "server_max_window_bits"),
    ("server-window-7", "server_max_window_bits=7"),
    ("server-window-16", "server_max_window_bits=16"),
    ("server-window-leading-zero", "server_max_window_bits=010"),
    ("server-window-signed", "server_max_window_bits=+10"),
    ("server-window-word", "server_max_window_bits=ten"),
    ("client-window-7", "client_max_window_bits=7"),
    ("client-window-16", "client_max_window_bits=16"),
    ("client-window-huge", "client_max_window_bits=4294967306"),
];

/// Values that are no list of extensions.
const MALFORMED: [(&str, &str); 6] = [
    (
        "open-quote",
        "permessage-deflate; server_max_window_bits=\"10",
    ),
    (
        "empty-quote",
        "permessage-deflate; server_max_window_bits=\"\"",
    ),
    ("no-value", "permessage-deflate; server_max_window_bits="),
    ("no-name", "permessage-deflate; =10"),
    (
        "no-semicolon",
        "permessage-deflate server_no_context_takeover",
    ),
    ("ends-in-semicolon", "permessage-deflate;"),
];

/// The cases.
pub(super) fn cases() -> Vec<Case> {
    let mut table = Table::of("deflate");
    for (name, values) in LAWFUL {
        table.special(
            format!("offer-{name}"),
            ANSWER,
            "agreed to as it may be, or declined; then messages come back",
            move |peer| {
                let terms = offer(peer, values)?;
                finish(peer, terms)
            },
        );
    }
    table.special(
        "offer-amid-empty-elements",
        EMPTY,
        "agreed to as it may be, or declined; then messages come back",
        |peer| {
            let terms = offer(peer, &[", ,permessage-deflate,, "])?;
            finish(peer, terms)
        },
    );
    for (name, parameters) in WRONG {
        table.special(
            format!("offer-{name}"),
            DECLINE,
            "declined: the server upgrades without it, and messages come back",
            move |peer| {
                let value = format!("permessage-deflate; {parameters}");
                let terms = offer(peer, &[&value])?;
                finish(peer, terms)
            },
        );
    }
    for (name, value) in MALFORMED {
        table.special(
            format!("offer-{name}"),
            FORM,
            "the server refuses the handshake with 400",
            move |peer| malformed(peer, value),
        );
    }
    table.cases
}

/// Whether anything was agreed on, and how it is to be known.
type Outcome = Option<String>;

/// Offers all that is in these fields, and looks at the answer.
fn offer(peer: &mut Peer<'_>, values: &[&str]) -> Result<Outcome, Finding> {
    let response = ask(peer, values)?;
    if response.status != 101 {
        return Err(Finding::Lax(format!(
            "the handshake was refused with {}; an offer that is not wanted is declined by leaving it out (RFC 7692, 5)",
            response.status
        )));
    }
    response.check_upgrade(KEY)?;
    let elements = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let Some(terms) = agreed(&response, elements.filter(|element| is_deflate(element)))? else {
        return Ok(None);
    };
    peer.reader.agree(&terms);
    let answer: Vec<_> = response.all("sec-websocket-extensions").collect();
    Ok(Some(answer.join(", ")))
}

/// Whatever was agreed on, messages come back.
fn finish(peer: &mut Peer<'_>, outcome: Outcome) -> Result<String, Finding> {
    let hello = "Hello ".repeat(100);
    let mut frames = vec![text(&hello)];
    if outcome.is_some() {
        // Twice, so that a window that is taken over shows; short, so that it fits into any window.
        let short = text(deflated(&hello[..200])).rsv(4);
        frames.extend([short.clone(), short]);
    }
    for frame in &frames {
        peer.send(&frame.bytes());
    }
    let echoed = Replies::to(&frames).judge(peer, Finish::Echo)?;
    Ok(match outcome {
        Some(answer) => format!("agreed to as {answer}; {echoed}"),
        None => format!("declined; {echoed}"),
    })
}

fn malformed(peer: &mut Peer<'_>, value: &str) -> Result<String, Finding> {
    let response = ask(peer, &[value])?;
    match response.status {
        400 => Ok("refused with 400".to_owned()),
        101 => match response.all("sec-websocket-extensions").next() {
            Some(answer) => Err(Finding::Broken(format!("agreed to as {answer}"))),
            None => Err(Finding::Broken("upgraded without it".to_owned())),
        },
        status if status >= 400 => Err(Finding::Lax(format!("refused with {status}"))),
        status => Err(Finding::Broken(format!("answered with {status}"))),
    }
}

/// The answer to a request with these offers; the case does not apply to a server without compression.
fn ask(peer: &mut Peer<'_>, values: &[&str]) -> Result<Response, Finding> {
    peer.require_deflate()?;
    let head = Head::ordinary(&peer.ground().target);
    let with_all = |head: Head, value: &&str| head.with(NAME, value);
    peer.send(&values.iter().fold(head, with_all).bytes());
    match peer.response()? {
        Incoming::Came(response) => Ok(response),
        other => Err(Finding::Broken(format!("no answer, but {other:?}"))),
    }
}
