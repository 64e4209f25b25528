//! What is kept of a connection for the one line that is written at its end.

use crate::protocol::{Cause, CloseCode, Moment};

/// What the status of a handshake is that went well.
const SWITCHING_PROTOCOLS: u16 = 101;

/// What a Close without a code counts as (RFC 6455, section 7.1.5).
const NO_CODE: u16 = 1005;

/// How it went with a connection so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Since when this process has it.
    pub since: Moment,
    /// What its handshake was answered with, if it was.
    pub status: Option<u16>,
    /// Whole data messages that came.
    pub received_messages: u64,
    /// Whole data messages that went.
    pub sent_messages: u64,
    /// The code of the Close that ended it.
    pub code: Option<u16>,
    /// Why the server ended it, if it did; of several reasons the first.
    pub cause: Option<Cause>,
}

impl Visit {
    /// One that begins now; `is_upgraded`: with the frames of a WebSocket.
    pub fn begin(since: Moment, is_upgraded: bool) -> Self {
        Visit {
            since,
            status: is_upgraded.then_some(SWITCHING_PROTOCOLS),
            received_messages: 0,
            sent_messages: 0,
            code: None,
            cause: None,
        }
    }

    /// Whether frames come and go, or did.
    pub fn is_upgraded(&self) -> bool {
        self.status == Some(SWITCHING_PROTOCOLS)
    }

    /// The handshake went well.
    pub fn note_upgrade(&mut self) {
        self.status = Some(SWITCHING_PROTOCOLS);
    }

    /// The peer has sent a Close with this code.
    pub fn note_close(&mut self, code: Option<CloseCode>) {
        self.code = Some(code.map_or(NO_CODE, CloseCode::to_wire));
    }

    /// The server ends it.
    pub fn note_cause(&mut self, cause: Cause) {
        match cause {
            Cause::Refused(refusal) => self.status = Some(refusal.status()),
            Cause::Closed(ending) => self.code = Some(ending.code().to_wire()),
            _ => {}
        }
        self.cause.get_or_insert(cause);
    }
}
