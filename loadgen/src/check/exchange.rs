//! A case behind the upgrade, as data: frames go out, and this must come of them.

use std::time::Duration;

use super::case::{Case, Rule};
use super::inflate::Inflater;
use super::peer::{Incoming, Peer};
use super::reader::{Event, Message, close_words};
use super::verdict::Finding;
use super::wire::{CONTINUATION, Cut, Frame, PING, PONG, close};

/// What must come of it, when the right frames are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Every message comes back, every ping is answered, and the connection stays.
    Echo,
    /// The server fails the connection (RFC 6455, section 7.1.7): Close with one of these codes, then the
    /// end of the stream.
    Fail(&'static [u16]),
    /// Either.
    EchoOrFail(&'static [u16]),
    /// Our Close with this code is answered by a Close with the same, with 1000, or with none, then the end.
    Close(u16),
}

/// Frames that go out, and what must come of them.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    /// Frames that are right, and are answered.
    frames: Vec<Frame>,
    /// What follows them and is no message: something wrong, or our Close.
    rest: Vec<u8>,
    cut: Cut,
    finish: Finish,
    /// Value of Sec-WebSocket-Extensions that the server must agree to for the case to apply.
    offer: Option<&'static str>,
}

/// Every message of these frames comes back.
pub(crate) fn echoes(frames: impl Into<Vec<Frame>>) -> Exchange {
    Exchange {
        frames: frames.into(),
        rest: Vec::new(),
        cut: Cut::Whole,
        finish: Finish::Echo,
        offer: None,
    }
}

/// These frames make the server fail the connection with one of `codes`.
pub(crate) fn fails(codes: &'static [u16], wrong: impl AsRef<[Frame]>) -> Exchange {
    echoes([]).then(wrong.as_ref(), Finish::Fail(codes))
}

/// These frames begin with our Close, which has `code`.
pub(crate) fn closes(code: u16, frames: impl AsRef<[Frame]>) -> Exchange {
    echoes([]).then(frames.as_ref(), Finish::Close(code))
}

impl Exchange {
    /// Puts right frames in front, which are answered.
    pub(crate) fn after(mut self, frames: impl Into<Vec<Frame>>) -> Exchange {
        self.frames = frames.into();
        self
    }

    /// Puts bytes behind all, as they are.
    pub(crate) fn behind(mut self, bytes: impl AsRef<[u8]>) -> Exchange {
        self.rest.extend_from_slice(bytes.as_ref());
        self
    }

    /// Cuts the bytes into segments.
    pub(crate) fn cut(mut self, cut: Cut) -> Exchange {
        self.cut = cut;
        self
    }

    /// The server may as well fail the connection.
    pub(crate) fn or_fails(mut self, codes: &'static [u16]) -> Exchange {
        self.finish = Finish::EchoOrFail(codes);
        self
    }

    /// Goes over a connection with this extension.
    pub(crate) fn offering(mut self, extension: &'static str) -> Exchange {
        self.offer = Some(extension);
        self
    }

    fn then(mut self, frames: &[Frame], finish: Finish) -> Exchange {
        self.rest = frames.iter().flat_map(Frame::bytes).collect();
        self.finish = finish;
        self
    }

    /// As a case.
    pub(crate) fn case(self, id: impl Into<String>, rule: Rule) -> Case {
        Case::special(id, rule, self.finish.words(), move |peer| {
            match self.offer {
                None => peer.upgrade()?,
                Some(extension) => {
                    peer.upgrade_with(extension)?;
                }
            }
            self.play(peer)
        })
    }

    /// Plays it on a connection that is upgraded.
    pub(crate) fn play(&self, peer: &mut Peer<'_>) -> Result<String, Finding> {
        let right = self.frames.iter().flat_map(Frame::bytes);
        let bytes: Vec<u8> = right.chain(self.rest.iter().copied()).collect();
        peer.send_cut(&bytes, &self.cut);
        Replies::to(&self.frames).judge(peer, self.finish)
    }
}

impl Finish {
    /// What must happen.
    fn words(self) -> String {
        match self {
            Finish::Echo => "every message comes back, every ping is answered".to_owned(),
            Finish::Fail(codes) => format!("Close {}, then the end of the stream", any_of(codes)),
            Finish::EchoOrFail(codes) => {
                format!("every message comes back, or Close {}", any_of(codes))
            }
            Finish::Close(code) => {
                format!("Close {code}, 1000 or without a code, then the end of the stream")
            }
        }
    }
}

fn any_of(codes: &[u16]) -> String {
    let codes: Vec<String> = codes.iter().map(u16::to_string).collect();
    codes.join(" or ")
}

/// What an echo answers to frames that are right, and how much of it has come.
///
/// Messages come back in order, and pongs in theirs; which goes first is the server's affair. Pings
/// that came together may be answered by the last pong alone (RFC 6455, section 5.5.3).
pub(crate) struct Replies {
    messages: Vec<Message>,
    pings: Vec<Vec<u8>>,
    /// Payloads of pongs that were sent; an empty one tells nothing.
    pongs: Vec<Vec<u8>>,
    messages_came: usize,
    pings_answered: usize,
    /// How long a reader dawdles before each thing that it reads.
    pub(crate) pause: Duration,
}

impl Replies {
    /// What an echo answers to these frames.
    pub(crate) fn to(frames: &[Frame]) -> Replies {
        let mut messages: Vec<Message> = Vec::new();
        let (mut pings, mut pongs) = (Vec::new(), Vec::new());
        let (mut is_open, mut is_compressed) = (false, false);
        for frame in frames {
            match frame.opcode {
                PING => {
                    pings.push(frame.payload.clone());
                    continue;
                }
                PONG if !frame.payload.is_empty() => {
                    pongs.push(frame.payload.clone());
                    continue;
                }
                CONTINUATION => {
                    if let Some(message) = messages.last_mut() {
                        message.payload.extend_from_slice(&frame.payload);
                    }
                }
                opcode if opcode < PING => {
                    messages.push(Message {
                        opcode,
                        payload: frame.payload.clone(),
                    });
                    is_compressed = frame.rsv & 4 != 0;
                }
                _ => continue,
            }
            is_open = !frame.fin;
            if frame.fin
                && is_compressed
                && let Some(message) = messages.last_mut()
                && let Ok(plain) = Inflater::default().message(&message.payload)
            {
                message.payload = plain;
            }
        }
        if is_open {
            messages.pop();
        }
        Replies {
            messages,
            pings,
            pongs,
            messages_came: 0,
            pings_answered: 0,
            pause: Duration::ZERO,
        }
    }

    /// Waits for what must come, and compares.
    pub(crate) fn judge(mut self, peer: &mut Peer<'_>, finish: Finish) -> Result<String, Finding> {
        loop {
            let is_echo = matches!(finish, Finish::Echo | Finish::EchoOrFail(_));
            if is_echo && self.is_complete() {
                return Ok(self.count());
            }
            std::thread::sleep(self.pause);
            match peer.event()? {
                Incoming::Came(Event::Ping(_)) => {}
                Incoming::Came(Event::Message(message)) => self.message(&message)?,
                Incoming::Came(Event::Pong(payload)) => self.pong(&payload)?,
                Incoming::Came(Event::Close(code, reason)) => {
                    return self.closed(peer, finish, code, &reason);
                }
                Incoming::Ended(end) => {
                    let words = end.words();
                    return match finish {
                        Finish::Echo => {
                            Err(Finding::Broken(format!("{}, then {words}", self.count())))
                        }
                        Finish::Close(_) => Err(Finding::Broken(format!(
                            "{words} without a Close (RFC 6455, 5.5.1)"
                        ))),
                        Finish::Fail(_) | Finish::EchoOrFail(_) => Err(Finding::Lax(format!(
                            "{words} without the Close that RFC 6455, 7.1.7, recommends"
                        ))),
                    };
                }
                Incoming::Silence => {
                    let seconds = peer.ground().timeout.as_secs_f64();
                    let count = self.count();
                    return Err(Finding::Broken(format!(
                        "{count}, then nothing for {seconds} s"
                    )));
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.messages_came == self.messages.len() && self.pings_answered == self.pings.len()
    }

    fn count(&self) -> String {
        let messages = match self.messages.len() {
            0 => "no message came".to_owned(),
            sent => format!("{} of {sent} messages came back", self.messages_came),
        };
        match (self.pings_answered, self.pings.len()) {
            (_, 0) => messages,
            (answered, pings) => format!("{messages}, pongs for {answered} of {pings} pings"),
        }
    }

    fn message(&mut self, came: &Message) -> Result<(), Finding> {
        match self.messages.get(self.messages_came) {
            Some(sent) if sent == came => {
                self.messages_came += 1;
                Ok(())
            }
            Some(sent) => Err(Finding::Broken(format!(
                "{} came back as {}",
                sent.words(),
                came.words()
            ))),
            None => Err(Finding::Broken(format!("{} came", came.words()))),
        }
    }

    fn pong(&mut self, payload: &[u8]) -> Result<(), Finding> {
        let open = &self.pings[self.pings_answered..];
        match open.iter().position(|ping| ping == payload) {
            Some(skipped) => {
                self.pings_answered += skipped + 1;
                Ok(())
            }
            // A server may send pongs that nobody asked for. One that is wrong leaves its ping unanswered.
            None if !self.pongs.iter().any(|pong| pong == payload) => Ok(()),
            None => Err(Finding::Broken("our pong was answered".to_owned())),
        }
    }

    fn closed(
        &self,
        peer: &mut Peer<'_>,
        finish: Finish,
        code: Option<u16>,
        reason: &str,
    ) -> Result<String, Finding> {
        let shown = close_words(code, reason);
        let is_right = match finish {
            Finish::Echo if code == Some(1009) => {
                return Err(Finding::Inapplicable(format!(
                    "the server takes no message so long: {shown}"
                )));
            }
            Finish::Echo => {
                return Err(Finding::Broken(format!("{}, then {shown}", self.count())));
            }
            Finish::Fail(codes) | Finish::EchoOrFail(codes) => {
                peer.send(&close(code.unwrap_or(1000), "").bytes());
                code.is_some_and(|code| codes.contains(&code))
            }
            Finish::Close(sent) => code.is_none_or(|code| code == sent || code == 1000),
        };
        let Some(end) = peer.end()? else {
            return Err(Finding::Broken(format!(
                "{shown}, and the stream was left open (RFC 6455, 7.1.1 and 7.1.7)"
            )));
        };
        let happened = format!("{shown}, then {}", end.words());
        if is_right {
            Ok(happened)
        } else {
            Err(Finding::Lax(happened))
        }
    }
}
