//! What is said on a connection before its load: the client's first message, and the server's greeting.

use clap::Args;

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
}

/// A connection whose greeting is awaited.
pub(super) struct Greeting {
    first_message: Option<String>,
    messages: u32,
    heard: u32,
    reader: Reader,
    random: Random,
}

impl Greeting {
    /// One to be awaited; `None` if nothing is said before the load.
    pub(super) fn of(options: &GreetingOptions, random: &mut Random) -> Option<Greeting> {
        let is_silent = options.greeting == 0 && options.first_message.is_none();
        (!is_silent).then(|| Greeting {
            first_message: options.first_message.clone(),
            messages: options.greeting,
            heard: 0,
            // Compression and a greeting are not asked for together.
            reader: Reader::new(false),
            random: Random::new(random.bits(), 0),
        })
    }

    /// The upgrade is done: appends what is to be said at once.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(text) = self.first_message.take() {
            let head = Head::whole(Opcode::Text);
            append_frame(out, head, text.as_bytes(), self.random.key());
        }
    }

    /// Takes plaintext, and appends pongs. Hands back what stands behind the greeting's end, once that has
    /// come.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        while self.heard < self.messages {
            let event = self.reader.next(&mut bytes).map_err(Failure::Protocol)?;
            match event {
                None if bytes.is_empty() => return Ok(None),
                None => {}
                Some(Event::Data(data)) => self.heard += u32::from(data.last && data.fin),
                Some(Event::Control { opcode, payload }) => match opcode {
                    Opcode::Ping => {
                        append_frame(out, Head::whole(Opcode::Pong), payload, self.random.key());
                    }
                    Opcode::Close => return Err(self.missing("the server sent a Close")),
                    _ => {}
                },
            }
        }
        Ok(Some(bytes.to_vec()))
    }

    /// The server has ended the stream.
    pub(super) fn end_of_stream(&self) -> Failure {
        self.missing("the server ended the connection")
    }

    /// The server has said nothing more for `seconds`.
    pub(super) fn out_of_time(&self, seconds: u64) -> Failure {
        self.missing(&format!("the server said no more within {seconds} seconds"))
    }

    fn missing(&self, what: &str) -> Failure {
        Failure::Ungreeted(format!(
            "{what}, and {} of {} messages of the --greeting had come",
            self.heard, self.messages
        ))
    }
}
