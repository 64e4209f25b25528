//! What a peer says, and what it must be answered.

use ringback::shard::Protocol;

use crate::sim::reader::Expected;
use crate::sim::scenario::Scenario;
use crate::support::deflated::{self, Style};
use crate::support::event::{Event, Message};
use crate::support::frames::{self, Frame};
use crate::support::oracle::{self, Patience, Rules};
use crate::support::random::Random;
use crate::support::{request, streams};

/// An offer of compressed messages, and what is agreed to.
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const AGREED: &str = "permessage-deflate; client_no_context_takeover";

/// Requests for somebody else, if there is one.
const ORDINARY: [&str; 2] = [
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "POST /chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
];

/// Requests that are none.
const GARBAGE: [&str; 6] = [
    ORDINARY[0],
    ORDINARY[1],
    "GET /chat HTTP/1.1\nHost: localhost\n\n",
    "\u{16}\u{3}\u{1}\u{2}nonsense\r\n\r\n",
    "GET /chat HTTP/1.0\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/// All that one peer has to say.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
    /// Behind which of the bytes each event is owed.
    owed_at: Vec<usize>,
    /// What is agreed to of what it offers.
    pub(crate) extensions: Option<&'static str>,
    /// The head of the request is whole.
    pub(crate) has_head: bool,
    greeted: bool,
}

impl Script {
    pub(crate) fn new(random: &mut Random, scenario: &Scenario) -> Self {
        if scenario.entrance.protocol == Protocol::Tcp {
            let count = match scenario.heavy {
                true => 600_000,
                false => random.pick(&[0, 1, 100, 5000, 600_000]),
            };
            return Script::without_frames(
                frames::noise(random.within(0..count + 1), random.next()),
                Expected::Itself,
            );
        }
        if scenario.policy.http && random.one_in(3) {
            let request = random.pick(&ORDINARY);
            return Script::without_frames(request.into(), Expected::Refusal);
        }
        let choice = if scenario.heavy { 4 } else { 0 };
        match random.below(16).max(choice) {
            0 => {
                let garbage = random.pick(&GARBAGE);
                Script::without_frames(garbage.into(), Expected::Refusal)
            }
            1 => {
                let mut half = head(random, "");
                half.truncate(random.within(0..half.len()));
                Script {
                    has_head: false,
                    ..Script::without_frames(half, Expected::Refusal)
                }
            }
            choice => Script::with_frames(random, scenario, choice),
        }
    }

    fn without_frames(bytes: Vec<u8>, expected: Expected) -> Self {
        Script {
            bytes,
            expected,
            owed_at: Vec::new(),
            extensions: None,
            has_head: true,
            greeted: false,
        }
    }

    fn with_frames(random: &mut Random, scenario: &Scenario, choice: u64) -> Self {
        let policy = &scenario.policy;
        // What is compressed and wrong may be passed on, where memory is short or the connection moves.
        let deflates = policy.prefix.is_none() && policy.message_bytes_max.is_none();
        let deflates = deflates && !scenario.hoards && random.one_in(4);
        let stream = match choice {
            _ if deflates => compressed(random),
            2 => strange(random),
            3 => frames::encode(&random.sample(streams::violation())),
            // What a prefix makes longer fills the queues.
            4..=6 if scenario.policy.prefix.is_some() => flood(random),
            _ if scenario.hoards => half(random),
            _ if scenario.heavy && !random.one_in(4) => flood(random),
            4 if random.one_in(4) => flood(random),
            _ => usual(random),
        };
        let rules = Rules {
            message_bytes_max: policy.message_bytes_max,
            deflates,
            prefix: policy.prefix.clone(),
        };
        let outcome = |patience| {
            let mut outcome = oracle::echo(&stream, &rules, patience);
            if let Some(greeting) = &policy.greeting {
                let greeting = Message {
                    text: true,
                    compressed: false,
                    bytes: greeting.clone().into(),
                    frame_ends: vec![greeting.len()],
                };
                outcome.events.insert(0, Event::Message(greeting));
            }
            outcome
        };
        let outcomes = [outcome(Patience::None), outcome(Patience::WholeHeader)];
        let mut bytes = head(random, if deflates { OFFER } else { "" });
        let mut owed_at = event_ends(&stream);
        owed_at.iter_mut().for_each(|end| *end += bytes.len());
        let greeted = policy.greeting.is_some();
        owed_at.truncate(outcomes[0].events.len() - usize::from(greeted));
        bytes.extend(stream);
        Script {
            bytes,
            expected: Expected::Frames(Box::new(outcomes)),
            owed_at,
            extensions: deflates.then_some(AGREED),
            has_head: true,
            greeted,
        }
    }

    /// Whether it is a request for whoever answers ordinary HTTP.
    pub(crate) fn is_ordinary_http(&self) -> bool {
        ORDINARY.iter().any(|it| it.as_bytes() == self.bytes)
    }

    /// How many events are owed at once to whoever has said `sent` bytes of it.
    pub(crate) fn owed(&self, sent: usize) -> usize {
        let owed = self.owed_at.partition_point(|end| *end <= sent);
        owed + usize::from(self.greeted && owed > 0)
    }
}

/// A request head, of any length.
fn head(random: &mut Random, offer: &str) -> Vec<u8> {
    let count = random.pick(&[0, 0, 0, 300, 5000]);
    if count == 0 {
        return request::with_header(offer);
    }
    let padding = "x".repeat(random.within(1..count));
    request::with_header(&format!("X-Padding: {padding}\r\n{offer}"))
}

/// Anything at all.
fn strange(random: &mut Random) -> Vec<u8> {
    random.sample(streams::any_stream()).to_vec()
}

/// Compressed messages, some of which are much more than a turn inflates.
fn compressed(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    for _ in 0..random.within(1..5) {
        let size = random.pick(&[0, 40, 2000, 17_000, 600_000]);
        let (opcode, bytes) = match (size, random.one_in(4)) {
            (600_000, _) => (frames::TEXT, vec![b'a'; size]),
            (_, true) => (frames::BINARY, frames::noise(size, random.next())),
            (_, false) => (frames::TEXT, frames::prose(size, random.next())),
        };
        let payload = deflated::deflate(&bytes, &Style::plain());
        let splits = random.pick(&[0, 0, 1, 3]);
        let ends: Vec<_> = (0..splits)
            .map(|_| random.within(0..payload.len() + 1))
            .collect();
        stream.extend(frames::encode(&deflated::fragments(
            opcode, &payload, &ends,
        )));
    }
    match random.below(3) {
        0 => stream.extend(Frame::close(1000, "bye").encode()),
        1 => stream.truncate(random.within(0..stream.len() + 1)),
        _ => {}
    }
    stream
}

/// More than anyone should have to keep.
fn flood(random: &mut Random) -> Vec<u8> {
    let size = random.within(1000..60_000);
    let mut frame = || Frame::binary(&frames::noise(size, random.next())).encode();
    [frame(), frame(), frame(), frame()].concat()
}

/// The beginning of a text that would fit a slab.
fn half(random: &mut Random) -> Vec<u8> {
    let text = frames::prose(15_000, random.next());
    let frames = streams::fragment(frames::TEXT, &text, &[]);
    let encode = |frame: Frame| frame.keyed([1, 2, 3, 4]).encode();
    let mut stream: Vec<u8> = frames.into_iter().flat_map(encode).collect();
    stream.truncate(random.within(9..2000));
    stream
}

/// Messages of all sizes, mostly small, with pings between them, often ended by a Close.
fn usual(random: &mut Random) -> Vec<u8> {
    let mut stream = Vec::new();
    let count = random.pick(&[0, 1, 3, 20]);
    for _ in 0..random.within(0..count + 1) {
        let size = random.pick(&[0, 40, 40, 40, 125, 2000, 2000, 17_000]);
        let size = random.within(0..size + 1);
        let (opcode, bytes) = match random.one_in(2) {
            true => (frames::TEXT, frames::prose(size, random.next())),
            false => (frames::BINARY, frames::noise(size, random.next())),
        };
        let splits = random.pick(&[0, 0, 0, 1, 3]);
        let ends: Vec<_> = (0..splits).map(|_| random.within(0..size + 1)).collect();
        let key = (random.next() as u32).to_le_bytes();
        for frame in streams::fragment(opcode, &bytes, &ends) {
            stream.extend(frame.keyed(key).encode());
            if random.one_in(6) {
                let size = random.within(0..126);
                stream.extend(Frame::ping(&frames::noise(size, random.next())).encode());
            }
        }
    }
    match random.below(4) {
        0 | 1 => stream.extend(Frame::close(1000, "bye").encode()),
        2 => stream.truncate(random.within(0..stream.len() + 1)),
        _ => {}
    }
    stream
}

/// Where the frames end that complete a message, or ask for a Pong, as far as the lengths make sense.
fn event_ends(stream: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let [first, second, rest @ ..] = &stream[at..] {
        let (length, count) = match second & 0x7f {
            126 if rest.len() >= 2 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), 4),
            127 if rest.len() >= 8 => {
                let length = rest[..8]
                    .iter()
                    .fold(0, |all, byte| all << 8 | u64::from(*byte));
                (length, 10)
            }
            126 | 127 => break,
            short => (u64::from(short), 2),
        };
        let key = if second & 0x80 == 0 { 0 } else { 4 };
        let left = (stream.len() - at).saturating_sub(count + key) as u64;
        if length > left || stream.len() - at < count + key {
            break;
        }
        at += count + key + length as usize;
        match first & 0x0f {
            9 => ends.push(at),
            0..=2 if first & 0x80 != 0 => ends.push(at),
            _ => {}
        }
    }
    ends
}
