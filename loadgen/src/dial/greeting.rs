//! What is said on a connection before its load: the client's first message, and the server's greeting.

use clap::Args;

use crate::echo::dialogue::{Answer, Ear, Heard};
use crate::payload::Random;
use crate::wire::failure::Failure;
use crate::wire::frame::{Head, Opcode, append_frame};
use crate::wire::reader::{Event, Reader};

/// What is said before the load.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct GreetingOptions {
    /// Skip what the server says first: a message, or with --greeting=N so many. Nothing else is sent
    /// before it has come
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_value_t = 0,
        default_missing_value = "1")]
    pub(crate) greeting: u32,

    /// Send this text as soon as a connection is open; it counts for nothing. What the server says to that
    /// belongs to the --greeting
    #[arg(long, value_name = "TEXT")]
    pub(crate) first_message: Option<String>,

    /// Whenever the server says ASK, say REPLY; neither counts. 2=3 is for the pings of Socket.IO
    #[arg(long, value_name = "ASK=REPLY", value_parser = Answer::parse)]
    pub(crate) answer: Option<Answer>,
}

/// A connection whose greeting is awaited.
pub(super) struct Greeting {
    options: GreetingOptions,
    heard: u32,
    ear: Ear,
    /// Whether a fragmented message is under way.
    in_message: bool,
    reader: Reader,
    random: Random,
    is_closed: bool,
}

impl Greeting {
    /// One to be awaited; `None` if nothing is said before the load.
    pub(super) fn of(options: &GreetingOptions, random: &mut Random) -> Option<Greeting> {
        let is_silent = options.greeting == 0 && options.first_message.is_none();
        (!is_silent).then(|| Greeting {
            options: options.clone(),
            heard: 0,
            ear: Ear::default(),
            in_message: false,
            // Compression and a greeting are not asked for together.
            reader: Reader::new(false),
            random: Random::new(random.bits(), 0),
            is_closed: false,
        })
    }

    /// The upgrade is done: appends what is to be said at once.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(text) = self.options.first_message.take() {
            let head = Head::whole(Opcode::Text);
            append_frame(out, head, text.as_bytes(), self.random.key());
        }
    }

    /// Takes plaintext, and appends what is to be answered. Hands back what stands behind the greeting's end, once
    /// that has come.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        while self.heard < self.options.greeting {
            match self.reader.next(&mut bytes).map_err(Failure::Protocol)? {
                None => return Ok(None),
                Some(Event::Data(data)) => {
                    if let Some(answer) = &self.options.answer
                        && let Heard::Ask = self.ear.hear(&data, answer, self.in_message)
                    {
                        answer.append(out, &mut self.random);
                    } else if data.last {
                        self.in_message = !data.head.fin;
                        self.heard += u32::from(data.head.fin);
                    }
                }
                Some(Event::Control { opcode, payload }) => match opcode {
                    Opcode::Ping => {
                        append_frame(out, Head::whole(Opcode::Pong), payload, self.random.key());
                    }
                    Opcode::Close => {
                        let code = &payload[..payload.len().min(2)];
                        append_frame(out, Head::whole(Opcode::Close), code, self.random.key());
                        self.is_closed = true;
                        return Err(self.missing("the server sent a Close"));
                    }
                    _ => {}
                },
            }
        }
        Ok(Some(bytes.to_vec()))
    }

    /// It will not be waited for: appends a Close, unless one was said.
    pub(super) fn resign(&mut self, code: u16, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.is_closed, true) {
            let head = Head::whole(Opcode::Close);
            append_frame(out, head, &code.to_be_bytes(), self.random.key());
        }
    }

    /// It has not come whole: `what` happened before.
    pub(super) fn missing(&self, what: &str) -> Failure {
        Failure::Ungreeted(format!(
            "{what}, and {} of {} messages of the --greeting had come",
            self.heard, self.options.greeting
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(messages: u32, first_message: Option<&str>) -> Option<Greeting> {
        let options = GreetingOptions {
            greeting: messages,
            first_message: first_message.map(str::to_owned),
            answer: Some(Answer::parse("2=3").unwrap()),
        };
        Greeting::of(&options, &mut Random::new(1, 0))
    }

    #[test]
    fn it_ends_with_its_last_message_wherever_the_stream_is_cut() {
        // A message in two fragments with a ping between them, what is answered with another message, a
        // message that could have been that, and one that does not belong to it.
        let stream = b"\x01\x01a\x89\x01?\x80\x01b\x81\x012\x81\x01b\x81\x01c";
        for cut in 1..=stream.len() {
            let mut greeting = greeting(2, None).unwrap();
            let (mut pongs, mut behind) = (Vec::new(), Vec::new());
            let mut is_over = false;
            for piece in stream.chunks(cut) {
                if is_over {
                    behind.extend_from_slice(piece);
                } else if let Some(rest) = greeting.receive(piece, &mut pongs).unwrap() {
                    is_over = true;
                    behind = rest;
                }
            }
            assert_eq!(behind, b"\x81\x01c", "cut {cut}");
            assert_eq!((&pongs[..2], pongs.len()), (&b"\x8a\x81"[..], 14));
            assert_eq!(&pongs[7..9], b"\x81\x81");
        }
    }

    #[test]
    fn a_close_in_its_place_says_how_much_of_it_had_come() {
        let mut greeting = greeting(2, None).unwrap();
        let mut out = Vec::new();
        let failure = greeting.receive(b"\x81\x01a\x88\x02\x03\xe8", &mut out);
        greeting.resign(1002, &mut out);
        assert_eq!(
            (&out[..2], out.len()),
            (&b"\x88\x82"[..], 8),
            "answered, once"
        );
        let told = failure.unwrap_err().to_string();
        assert!(told.contains("a Close, and 1 of 2 messages"), "{told}");
    }

    #[test]
    fn a_first_message_alone_waits_for_nothing() {
        assert!(greeting(0, None).is_none());
        let mut greeting = greeting(0, Some("40")).unwrap();
        let mut out = Vec::new();
        greeting.begin(&mut out);
        assert_eq!((&out[..2], out.len()), (&b"\x81\x82"[..], 8));
        let behind = greeting.receive(b"\x81", &mut out).unwrap();
        assert_eq!(behind.as_deref(), Some(&b"\x81"[..]));
    }
}
