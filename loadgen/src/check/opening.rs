//! A case of the opening handshake, as data: a request goes out, and is answered so.

use super::case::{Case, Rule};
use super::exchange::{Finish, Replies};
use super::head::{Head, KEY, Response};
use super::peer::{Incoming, Peer};
use super::verdict::Finding;
use super::wire::{Cut, Frame, text};

/// A look at an answer that is right so far: in words what is wrong with it.
pub(crate) type Look = fn(&Response) -> Result<(), String>;

/// How a request must be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// With 101, and messages come back.
    Upgrade,
    /// With an error, preferably one of these if there are any.
    Refusal(&'static [u16]),
    /// With an error or by the end of the stream.
    RefusalOrEnd,
    /// With anything that is HTTP, but not 101.
    NoUpgrade,
    /// With 101 or an error, as the server likes.
    UpgradeOrRefusal,
}

/// A request, and how it must be answered.
pub(crate) struct Request {
    head: Head,
    cut: Cut,
    key: String,
    answer: Answer,
    /// Messages sent behind the head in the same write; else one is sent behind a 101.
    early: Vec<Frame>,
    look: Look,
    /// Whether anything may be agreed on that was not asked for.
    asked: Asked,
}

/// What a request offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    extension: bool,
    protocol: bool,
}

/// `head` is answered with `answer`.
pub(crate) fn request(head: Head, answer: Answer) -> Request {
    let bytes = head.bytes();
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    Request {
        head,
        cut: Cut::Whole,
        key: KEY.to_owned(),
        answer,
        early: Vec::new(),
        look: |_| Ok(()),
        asked: Asked {
            extension: text.contains("sec-websocket-extensions"),
            protocol: text.contains("sec-websocket-protocol"),
        },
    }
}

impl Request {
    /// Cuts its bytes into segments.
    pub(crate) fn cut(mut self, cut: Cut) -> Request {
        self.cut = cut;
        self
    }

    /// Has another key.
    pub(crate) fn key(mut self, key: impl Into<String>) -> Request {
        self.key = key.into();
        self.head = self.head.set("Sec-WebSocket-Key", &self.key);
        self
    }

    /// Frames come behind the head in the same write.
    pub(crate) fn early(mut self, frames: impl Into<Vec<Frame>>) -> Request {
        self.early = frames.into();
        self
    }

    /// Looks at the answer, too.
    pub(crate) fn look(mut self, look: Look) -> Request {
        self.look = look;
        self
    }

    /// As a case.
    pub(crate) fn case(self, id: impl Into<String>, rule: Rule) -> Case {
        Case::special(id, rule, self.answer.words(), move |peer| self.play(peer))
    }

    fn play(&self, peer: &mut Peer<'_>) -> Result<String, Finding> {
        let early = self.early.iter().flat_map(Frame::bytes);
        let bytes: Vec<u8> = self.head.bytes().into_iter().chain(early).collect();
        peer.send_cut(&bytes, &self.cut);
        let response = peer.response().map_err(|finding| match finding {
            // A server that answers frames before their time was asked to by a client that must wait for
            // the 101 (RFC 6455, section 4.1).
            Finding::Illegal(what) if !self.early.is_empty() => Finding::Broken(what),
            finding => finding,
        });
        let response = match response? {
            Incoming::Came(response) => response,
            Incoming::Ended(end) => {
                let what = format!("no answer, but {}", end.words());
                return match self.answer {
                    Answer::RefusalOrEnd => Ok(what),
                    // Nothing was done that must not be; why not, the client is not told.
                    Answer::NoUpgrade | Answer::UpgradeOrRefusal => Err(Finding::Lax(what)),
                    _ => Err(Finding::Broken(what)),
                };
            }
            Incoming::Silence => {
                let seconds = peer.ground().timeout.as_secs_f64();
                return Err(Finding::Broken(format!("no answer for {seconds} s")));
            }
        };
        if response.status == 101 {
            return self.upgraded(peer, &response);
        }
        let happened = self.answered(response.status)?;
        (self.look)(&response).map_err(Finding::Broken)?;
        Ok(happened)
    }

    fn answered(&self, status: u16) -> Result<String, Finding> {
        let what = format!("answered with {status}");
        let is_error = (400..600).contains(&status);
        match self.answer {
            Answer::Upgrade => Err(Finding::Broken(what)),
            Answer::NoUpgrade => Ok(what),
            _ if !is_error => Err(Finding::Broken(format!("{what}, which is no error"))),
            Answer::Refusal(preferred) if !preferred.is_empty() && !preferred.contains(&status) => {
                Err(Finding::Lax(what))
            }
            _ => Ok(what),
        }
    }

    fn upgraded(&self, peer: &mut Peer<'_>, response: &Response) -> Result<String, Finding> {
        if !matches!(self.answer, Answer::Upgrade | Answer::UpgradeOrRefusal) {
            return Err(Finding::Broken("the server upgraded".to_owned()));
        }
        response.check_upgrade(&self.key)?;
        for (name, is_asked) in [
            ("sec-websocket-extensions", self.asked.extension),
            ("sec-websocket-protocol", self.asked.protocol),
        ] {
            if !is_asked && let Some(value) = response.all(name).next() {
                return Err(Finding::Illegal(format!(
                    "the 101 has {name} {value:?}, which was not offered (RFC 6455, 4.2.2)"
                )));
            }
        }
        (self.look)(response).map_err(Finding::Broken)?;
        let hello = [text("Hello")];
        let frames = if self.early.is_empty() {
            peer.send(&hello[0].bytes());
            &hello[..]
        } else {
            &self.early
        };
        peer.reader.deflate = response.all("sec-websocket-extensions").next().is_some();
        let happened = Replies::to(frames).judge(peer, Finish::Echo)?;
        Ok(format!("upgraded; {happened}"))
    }
}

impl Answer {
    fn words(self) -> String {
        match self {
            Answer::Upgrade => "the server upgrades, and echoes".to_owned(),
            Answer::Refusal([]) => "the server refuses with an error (4xx or 5xx)".to_owned(),
            Answer::Refusal(preferred) => {
                let preferred: Vec<_> = preferred.iter().map(u16::to_string).collect();
                format!("the server refuses with {}", preferred.join(" or "))
            }
            Answer::RefusalOrEnd => {
                "the server refuses with an error, or ends the connection".to_owned()
            }
            Answer::NoUpgrade => "an ordinary answer of HTTP, but no 101".to_owned(),
            Answer::UpgradeOrRefusal => {
                "the server upgrades and echoes, or refuses with an error".to_owned()
            }
        }
    }
}
