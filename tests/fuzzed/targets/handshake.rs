//! A head, or what is none, cut anywhere: it is answered, or handed over, the same as whole; and what is upgraded here
//! is an upgrade request to others, too.

use ringback::protocol::Policy;
use ringback::protocol::handshake::{self, Answer, HEAD_BYTES_MAX, HEADERS_MAX};
use ringback::protocol::policy::Elsewhere;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::input::Input;
use crate::support::fate;
use crate::support::streams::Cuts;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let choices = input.byte();
    let chosen = |bit: u8| choices & bit != 0;
    let elsewhere = |path: &str, speaks_engine_io| Elsewhere {
        path: path.into(),
        speaks_engine_io,
    };
    let policy = Policy {
        http: chosen(1),
        elsewhere: vec![elsewhere("/x", false), elsewhere("/socket.io", chosen(8))],
        ..Policy::default()
    };
    let cuts = input.cuts();
    let stream = input.rest();
    let fates = [&Cuts::Whole, &cuts].map(|cuts| {
        let mut fate = fate::of(&policy, chosen(2), chosen(4), stream, cuts);
        if fate.sent.starts_with(b"HTTP/1.1 101 ") {
            // What answers frames may be in other frames; `session` looks at those.
            fate.sent
                .truncate(head_len(&fate.sent).expect("a whole head"));
        }
        fate
    });
    assert_eq!(fates[1], fates[0], "{cuts:?}");
    check_head(stream, &policy);
}

/// Where a head ends, as seen by who looks for nothing else.
fn head_len(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

/// Checks what `stream` is taken for against what `httparse` does.
fn check_head(stream: &[u8], policy: &Policy) {
    let seen = &stream[..stream.len().min(HEAD_BYTES_MAX)];
    let Ok(Some(end)) = handshake::find_end(seen, 0) else {
        return;
    };
    let head = &seen[..end];
    let (Ok(Answer::Upgrade(accepted)) | Ok(Answer::Elsewhere(accepted))) =
        handshake::answer(head, policy)
    else {
        return;
    };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = match request.parse(head) {
        // It knows no minor version above 1; such a request is one of HTTP/1.1 (RFC 9110, section 2.5).
        Err(httparse::Error::Version) => return,
        parsed => parsed.expect("a request to httparse"),
    };
    assert_eq!(parsed, httparse::Status::Complete(end));
    assert_eq!((request.method, request.version), (Some("GET"), Some(1)));
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
        field
            .expect("a field without which nothing is upgraded")
            .value
            .trim_ascii()
    };
    field("Host");
    assert_eq!(field("Sec-WebSocket-Version"), b"13");
    let accept = derive_accept_key(field("Sec-WebSocket-Key"));
    assert_eq!(accept.as_bytes(), accepted.accept);
}
