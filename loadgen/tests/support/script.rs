//! What the fake server is told to do.

use std::time::Duration;

/// What the server does wrong, if anything. Replies are counted from 0 on each connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing.
    #[default]
    Right,

    // Unusual, and right all the same.
    /// Every reply in three fragments, with a ping between them.
    Fragments,
    /// A pong that nobody asked for before every reply.
    UnaskedPongs,
    /// Every reply comes this many milliseconds late.
    Late(u64),
    /// The server of the Node tutorial: it says "Hi there" first, and then "Received: " and the message.
    Tutorial,
    /// Socket.IO over WebSocket: it says that it is open, and pings, `40` joins a namespace and is told so, and every
    /// third event has a ping before it. A `3` is its pong.
    SocketIo,
    /// Two messages come for each, in the other kind, and none of them is the one that was sent.
    Twice,
    /// A ping comes right behind the handshake's answer, and no further handshake is answered before its
    /// pong.
    PingFirst,

    // Reply number N has the wrong content.
    /// Its last byte changed.
    Corrupt(u64),
    /// Its first byte changed.
    CorruptFirst(u64),
    /// The byte in its middle changed.
    CorruptMiddle(u64),
    /// It comes in three fragments, and the last byte of the second is changed.
    CorruptFragment(u64),
    /// One reply in so many has a byte changed, each time another.
    CorruptEach(u64),
    /// Every reply has its first byte changed.
    CorruptAll,
    /// Its last byte is missing.
    Truncate(u64),
    /// It comes in three fragments, and the last byte of the third is missing.
    TruncateFragment(u64),
    /// It has a byte too many.
    Extend(u64),
    /// It comes in fragments, the second of which goes on beyond the message's end.
    ExtendFragment(u64),

    // Reply number N is not where it belongs.
    /// It comes twice.
    Duplicate(u64),
    /// It comes after the next one.
    Swap(u64),
    /// It never comes.
    Swallow(u64),
    /// A message that nobody sent comes right behind the handshake's answer.
    Greeting,

    // The frames are wrong.
    /// Text comes back as binary and the other way round.
    SwapKinds,
    /// Frames are masked.
    Masked,
    /// Reply number N has RSV1 set.
    Rsv(u64),
    /// Reply number N has opcode 3.
    ReservedOpcode(u64),
    /// Reply number N is a continuation of nothing.
    Continuation(u64),
    /// Reply number N begins inside of a fragmented reply.
    Nested(u64),
    /// The length of reply number N takes eight bytes where fewer do.
    LongLength(u64),
    /// A ping of 126 bytes comes before reply number N.
    LongPing(u64),
    /// A ping without FIN comes before reply number N.
    FragmentedPing(u64),

    /// The stream is ended a tenth of a second after the Close was answered.
    LateEnd,

    // The connection ends instead of reply number N.
    /// By a Close frame (1001, "going").
    Close(u64),
    /// By the same, before any message.
    CloseFirst,
    /// By a Close frame without a code.
    CloseWithoutCode(u64),
    /// By a Close frame with half a code.
    CloseWithHalfCode(u64),
    /// By the end of the stream.
    Hangup(u64),
    /// By the end of the stream, in the middle of the reply's frame.
    HangupInFrame(u64),
    /// By a reset.
    Reset(u64),

    // The handshake goes wrong.
    /// It is answered with 503.
    Refuse,
    /// The 101 has the wrong Sec-WebSocket-Accept.
    WrongAccept,
    /// The answer is not HTTP.
    NotHttp,
    /// It is never answered.
    Silent,
    /// The stream ends in the middle of the answer.
    HangupInHandshake,
}

/// How long replies are held before they are sent. Those of one connection keep their order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Delay {
    /// Not at all.
    #[default]
    None,
    /// All the same.
    Fixed(Duration),
    /// Message number N of the whole server takes number N of these, and after the last the first again.
    Each(&'static [Duration]),
    /// One message in so many is held, the others are not.
    OneIn(u64, Duration),
    /// Until the next multiple of this since the server began: then all that were held go together.
    Tick(Duration),
}

/// Once, the whole server stands still.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// Messages, of all connections together, that are answered before.
    pub(crate) after: u64,
    /// For how long nothing is read and nothing is sent.
    pub(crate) length: Duration,
}

/// How the server reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reading {
    /// As fast as it can.
    #[default]
    Eager,
    /// Sixteen kibibytes at a time with a pause of this length before each, from a small receive buffer.
    Slow(Duration),
    /// From a small receive buffer, and not at all after so many messages of a connection.
    Stops(u64),
    /// Eagerly, from a small receive buffer: what the server does not take, the client notices soon.
    SmallBuffer,
}

/// What the server does about pings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pongs {
    /// Answers them at once.
    #[default]
    Right,
    /// Answers them with another payload.
    Wrong,
    /// Does not answer them.
    Never,
}

/// All that a server is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) habit: Habit,
    pub(crate) delay: Delay,
    pub(crate) stall: Option<Stall>,
    pub(crate) reading: Reading,
    pub(crate) pongs: Pongs,
    /// The subprotocol that it takes, whatever it is offered.
    pub(crate) subprotocol: Option<&'static str>,
    /// Agrees on permessage-deflate without context takeover, and compresses every reply.
    pub(crate) deflate: bool,
}

impl From<Habit> for Script {
    fn from(habit: Habit) -> Script {
        let delay = match habit {
            Habit::Late(milliseconds) => Delay::Fixed(Duration::from_millis(milliseconds)),
            _ => Delay::None,
        };
        Script {
            habit,
            delay,
            ..Script::default()
        }
    }
}

impl From<Delay> for Script {
    fn from(delay: Delay) -> Script {
        Script {
            delay,
            ..Script::default()
        }
    }
}

impl From<Reading> for Script {
    fn from(reading: Reading) -> Script {
        Script {
            reading,
            ..Script::default()
        }
    }
}

impl From<Pongs> for Script {
    fn from(pongs: Pongs) -> Script {
        Script {
            pongs,
            ..Script::default()
        }
    }
}

impl Delay {
    /// How long message number `number` of the whole server, which has run for `uptime`, is held.
    pub(crate) fn of(self, number: u64, uptime: Duration) -> Duration {
        match self {
            Delay::None => Duration::ZERO,
            Delay::Fixed(delay) => delay,
            Delay::Each(delays) => delays[(number % delays.len() as u64) as usize],
            Delay::OneIn(of, delay) if number % of == of / 2 => delay,
            Delay::OneIn(..) => Duration::ZERO,
            Delay::Tick(tick) => {
                let into = uptime.as_nanos() % tick.as_nanos();
                tick - Duration::from_nanos(into as u64)
            }
        }
    }
}
