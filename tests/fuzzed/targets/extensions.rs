//! Any value of `Sec-WebSocket-Extensions`: what is agreed to is what an oracle says, and the same if the list is in
//! several fields.

use ringback::protocol::Policy;

use crate::support::offers;
use crate::support::pretend::Pretend;
use crate::support::request::{self, Response};

/// No more, so that the head is none that is too large.
const BYTES_MAX: usize = 8_000;
const FIELDS_MAX: usize = 50;

pub fn check(bytes: &[u8]) {
    // A line feed goes to the next field; what else ends a field or a head belongs to `handshake`.
    if bytes
        .iter()
        .any(|byte| (*byte < 0x20 && !b"\t\n".contains(byte)) || *byte == 0x7f)
    {
        return;
    }
    let fields: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    if bytes.len() > BYTES_MAX || fields.len() > FIELDS_MAX {
        return;
    }
    let seen = answer(&fields);
    match offers::agreed(&fields.join(&b',')) {
        Ok(agreed) => {
            assert_eq!(seen.status, 101, "{agreed:?}");
            assert_eq!(seen.header("sec-websocket-extensions"), agreed.as_deref());
        }
        Err(()) => seen.assert_refused(400),
    }
}

fn answer(fields: &[&[u8]]) -> Response {
    let lines = fields
        .iter()
        .map(|value| [b"Sec-WebSocket-Extensions: ", *value, b"\r\n"].concat());
    let mut head = request::upgrade();
    head.truncate(head.len() - 2);
    head.extend(lines.flatten());
    head.extend(b"\r\n");
    let policy = Policy::default();
    let mut pretend = Pretend::open(&policy);
    pretend.feed(&head);
    request::read(&pretend.release()).expect("a response")
}
