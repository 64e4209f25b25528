//! What is said and what must come back: the same for every command that sends messages.

use std::sync::Arc;

use clap::Args;

use super::dialogue::{Answer, Dialogue, Expect};
use super::workload::Workload;
use crate::payload::given::Message;
use crate::payload::size::Sizes;
use crate::payload::{Kinds, Pool, Random};
use crate::target::Protocol;
use crate::usage::UsageError;

/// Most bits of entropy in a byte of text: a character of one byte has no more.
const TEXT_BITS_MAX: f64 = 7.0;

/// What is said and what must come back.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExchangeOptions {
    /// Send this instead of generated payloads: the text, or with @FILE all that is in the file, a last
    /// newline too. It goes as a text message if it is valid UTF-8
    #[arg(long, value_name = "TEXT|@FILE", value_parser = Message::parse)]
    pub(crate) message: Option<Message>,

    /// Generated payloads have so many bits of entropy in each byte, from 0 to 8, of text to 7: so it is known how
    /// far --deflate could compress them at best; the result says how far it did
    #[arg(long, value_name = "BITS", value_parser = parse_entropy, conflicts_with = "message")]
    pub(crate) entropy: Option<f64>,

    /// What answers a message: echo, the same message; prefix:TEXT, this text with the message behind it;
    /// any, one message, whatever is in it; 3x, so many of those
    #[arg(long, default_value = "echo", value_name = "REPLY", value_parser = Expect::parse)]
    pub(crate) expect: Expect,
}

impl ExchangeOptions {
    /// What messages are, where `asked` says what the command line has of it. A server that answers with a
    /// prefix speaks in text, so it is spoken to in text.
    pub(crate) fn kinds(&self, asked: Option<Kinds>) -> Kinds {
        let is_text = match &self.message {
            Some(message) => message.is_utf8(),
            None => matches!(self.expect, Expect::Prefix(_)),
        };
        asked.unwrap_or(if is_text { Kinds::Text } else { Kinds::Binary })
    }

    /// How long messages are, unless one is given.
    pub(crate) fn sizes(&self, generated: &Sizes) -> Sizes {
        match &self.message {
            Some(message) => Sizes::fixed(message.bytes().len()),
            None => generated.clone(),
        }
    }

    /// Where payloads come from.
    pub(crate) fn pool(&self, kinds: Kinds, bytes_max: usize, random: &mut Random) -> Pool {
        match (&self.message, self.entropy) {
            (Some(message), _) => Pool::given(message.bytes()),
            (None, Some(bits)) => Pool::with_entropy(kinds, bytes_max, bits, random),
            (None, None) => Pool::new(kinds, bytes_max, random),
        }
    }

    /// What there is beyond a byte-exact echo, where `answer` is given to what the server asks.
    pub(crate) fn dialogue(&self, answer: Option<&Answer>) -> Option<Arc<Dialogue>> {
        let is_plain = self.expect == Expect::Echo && answer.is_none();
        (!is_plain).then(|| {
            Arc::new(Dialogue {
                expect: self.expect.clone(),
                answer: answer.cloned(),
            })
        })
    }

    /// What a session sends, one message after the other: generated ones are of `sizes`.
    pub(crate) fn workload(
        &self,
        protocol: Protocol,
        answer: Option<&Answer>,
        sizes: &Sizes,
        seed: u64,
    ) -> Workload {
        let kinds = self.kinds(None);
        let sizes = self.sizes(sizes);
        let bytes_max = sizes.bytes_max();
        let pool = self.pool(kinds, bytes_max, &mut Random::new(seed, 0));
        Workload {
            kinds,
            dialogue: self.dialogue(answer),
            sizes,
            ..Workload::simple(protocol, bytes_max, Arc::new(pool))
        }
    }

    /// Refuses what contradicts itself. The error says what would be right.
    pub(crate) fn check(
        &self,
        protocol: Protocol,
        kinds: Kinds,
        deflate: bool,
    ) -> Result<(), UsageError> {
        let is_tcp = protocol == Protocol::Tcp;
        let message = self.message.as_ref();
        let what = if is_tcp && self.expect != Expect::Echo {
            "--expect needs WebSocket; bare TCP has no messages"
        } else if is_tcp && message.is_some_and(|message| message.bytes().is_empty()) {
            "--message is empty, which a TCP echo cannot answer; give a byte"
        } else if kinds != Kinds::Binary && self.entropy > Some(TEXT_BITS_MAX) {
            "--entropy above 7 is no text; give at most 7, or --binary"
        } else if kinds == Kinds::Text && message.is_some_and(|message| !message.is_utf8()) {
            "--message is not UTF-8, so it cannot go as --text; use --binary"
        } else if deflate && matches!(self.expect, Expect::Prefix(_)) {
            "--expect prefix: reads messages as they come; leave --deflate off"
        } else {
            return Ok(());
        };
        Err(UsageError(what.to_owned()))
    }
}

/// Bits of entropy of a byte.
fn parse_entropy(text: &str) -> Result<f64, String> {
    let bits = text.parse().ok();
    bits.filter(|bits| (0.0..=8.0).contains(bits))
        .ok_or_else(|| "expected bits of entropy per byte, from 0 to 8, such as 4.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(message: Option<&str>, expect: &str) -> ExchangeOptions {
        ExchangeOptions {
            message: message.map(|text| Message::parse(text).unwrap()),
            expect: Expect::parse(expect).unwrap(),
            entropy: None,
        }
    }

    #[test]
    fn what_is_sent_follows_from_the_message_and_the_reply() {
        let generated = Sizes::fixed(32);
        assert_eq!(options(None, "echo").kinds(None), Kinds::Binary);
        assert_eq!(options(None, "prefix:> ").kinds(None), Kinds::Text);
        let given = options(Some("höre"), "echo");
        assert_eq!(given.kinds(None), Kinds::Text);
        assert_eq!(given.kinds(Some(Kinds::Binary)), Kinds::Binary);
        assert_eq!(given.sizes(&generated).bytes_max(), 5);
        assert_eq!(options(None, "any").sizes(&generated).bytes_max(), 32);
        assert!(given.dialogue(None).is_none());
        assert!(options(None, "any").dialogue(None).is_some());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |options: ExchangeOptions, protocol, deflate| {
            let kinds = options.kinds(None);
            options
                .check(protocol, kinds, deflate)
                .map_err(|error| error.0)
        };
        let (tcp, websocket) = (Protocol::Tcp, Protocol::Websocket);
        assert_eq!(refused(options(Some("a"), "echo"), tcp, false), Ok(()));
        assert_eq!(refused(options(None, "3x"), websocket, true), Ok(()));
        let error = refused(options(None, "any"), tcp, false).unwrap_err();
        assert!(error.contains("needs WebSocket"), "{error}");
        for (bits, expect, is_right) in [
            (8.0, "echo", true),
            (7.5, "prefix:a", false),
            (7.0, "prefix:a", true),
        ] {
            let entropy = ExchangeOptions {
                entropy: Some(bits),
                ..options(None, expect)
            };
            assert_eq!(
                refused(entropy, websocket, false).is_ok(),
                is_right,
                "{bits} {expect}"
            );
        }
        assert_eq!(parse_entropy("4.5"), Ok(4.5));
        for wrong in ["8.1", "-1", "nan", "much", ""] {
            assert!(parse_entropy(wrong).is_err(), "{wrong:?}");
        }
        let error = refused(options(Some(""), "echo"), tcp, false).unwrap_err();
        assert!(error.contains("is empty"), "{error}");
        let error = refused(options(None, "prefix:a"), websocket, true).unwrap_err();
        assert!(error.contains("--deflate off"), "{error}");
    }
}
