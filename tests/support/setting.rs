//! A session under circumstances, fed a stream, against the oracle.

use ringback::protocol::policy::Policy;
use ringback::protocol::session::INFLATION_BYTES_MAX;

use super::compare::{Freedom, same};
use super::oracle::{self, Patience, Rules};
use super::pretend::{Pretend, State};
use super::replies::{self, Replies};
use super::request;
use super::streams::Cuts;

/// The circumstances of a run.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) rules: Rules,
    pub(crate) holds: bool,
    pub(crate) room: usize,
    pub(crate) offer_bytes_max: usize,
    pub(crate) inflation: usize,
    pub(crate) is_carried: bool,
}

/// What is offered and agreed on where the rules say so.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const AGREED: &str = "permessage-deflate; client_no_context_takeover";

impl Setting {
    pub(crate) fn plain(holds: bool) -> Self {
        Setting {
            rules: Rules::default(),
            holds,
            room: 1 << 20,
            offer_bytes_max: usize::MAX,
            inflation: INFLATION_BYTES_MAX,
            is_carried: false,
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            message_bytes_max: self.rules.message_bytes_max,
            prefix: self.rules.prefix.clone(),
            ..Policy::default()
        }
    }

    fn freedom(&self) -> Freedom {
        Freedom {
            holds: self.holds,
            rewrites: self.rules.prefix.is_some(),
        }
    }

    /// A connection whose handshake is done.
    pub(crate) fn upgraded<'a>(&self, policy: &'a Policy) -> Pretend<'a> {
        let mut pretend = Pretend::open(policy);
        let deflates = self.rules.deflates;
        pretend.feed(&request::with_header(if deflates { OFFER } else { "" }));
        let response = request::read(&pretend.sent).expect("a response");
        response.assert_switched_with(deflates.then_some(AGREED));
        assert!(response.rest.is_empty(), "{response:?}");
        pretend.sent.clear();
        pretend.room = self.room;
        pretend.offer_bytes_max = self.offer_bytes_max;
        pretend.inflation = self.inflation;
        pretend.is_carried = self.is_carried;
        if !self.holds {
            pretend.spend_slabs();
        }
        pretend
    }

    /// Checks that `seen`, and how the connection stands, is right for `stream`.
    pub(crate) fn check(&self, stream: &[u8], seen: &Replies, state: State) -> Result<(), String> {
        let against = |patience| {
            let expected = oracle::echo(stream, &self.rules, patience);
            same(seen, &expected, self.freedom())?;
            if expected.close.is_some() == (state == State::Open) {
                return Err(format!("{state:?} after {:?}", expected.close));
            }
            Ok(())
        };
        against(Patience::None).or_else(|why| against(Patience::WholeHeader).map_err(|_| why))
    }

    /// Sends `stream` as `pieces` and checks what comes back.
    pub(crate) fn run(&self, stream: &[u8], cuts: &Cuts) -> Result<Replies, String> {
        let policy = self.policy();
        let mut pretend = self.upgraded(&policy);
        for piece in cuts.pieces(stream.len()) {
            pretend.feed(&stream[piece]);
        }
        let state = pretend.state;
        let sent_bytes = pretend.sent.len();
        pretend.peer_finishes();
        if pretend.state == State::Open {
            return Err("still open after the peer's FIN".into());
        }
        let sent = pretend.release();
        let seen = replies::read_extended(&sent[..sent_bytes], self.rules.deflates)?;
        self.check(stream, &seen, state)?;
        Ok(seen)
    }

    /// The same byte by byte, checked after each: nothing comes late.
    pub(crate) fn run_promptly(&self, stream: &[u8]) -> Result<(), String> {
        let policy = self.policy();
        let mut pretend = self.upgraded(&policy);
        for count in 1..=stream.len() {
            pretend.feed(&stream[count - 1..count]);
            let seen = replies::read_extended(&pretend.sent, self.rules.deflates)?;
            self.check(&stream[..count], &seen, pretend.state)
                .map_err(|why| format!("after {count} of {} bytes: {why}", stream.len()))?;
        }
        pretend.peer_finishes();
        pretend.release();
        Ok(())
    }
}
