//! What a peer says, how it behaves, and what it must be answered.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use ringback::protocol::Policy;
use socket2::{Domain, Socket, Type};

use crate::support::compare::{self, Freedom};
use crate::support::event::Outcome;
use crate::support::frames::{self, Frame};
use crate::support::oracle::{self, Patience, Rules};
use crate::support::random::Random;
use crate::support::server::PATIENCE;
use crate::support::streams::Stream;
use crate::support::{replies, request, streams};

/// A receive buffer that is soon full, and segments so small that the kernel makes the server's send buffer
/// small too, in bytes.
const NARROW_BYTES: usize = 4096;
const NARROW_SEGMENT_BYTES: u32 = 536;

/// What a peer says that says much, in bytes.
const FLOOD_BYTES: usize = 400_000;

/// How long a peer waits that reads only at the end: one that has broken the protocol is not read from until it
/// has read.
const LATE: Duration = Duration::from_millis(300);

/// When a peer sends its FIN that waits for nothing.
const FINISH: Duration = Duration::from_millis(20);

/// How often a slow peer rests.
const RESTS: u32 = 50;

/// What a peer reads at a time, and the most that it looks at again whenever more has come, in bytes.
const LOOKED_AT_BYTES_MAX: usize = 64 * 1024;

/// How a peer reads.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// All that comes.
    Eager,
    /// So many bytes at a time, and rests between, at first.
    Slow(usize),
    /// Nothing until it has said all.
    Late,
}

/// How a peer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// With its FIN, so long after its last byte.
    Finish(Duration),
    /// With its FIN, once it has had all that it is owed.
    Content,
    /// Not before the server.
    Last,
    /// With a reset after so many bytes, whatever it is owed.
    Vanish(usize),
}

/// All that one peer does.
#[derive(Debug)]
pub(crate) struct Talk {
    /// Its request, and its frames.
    says: Stream,
    /// Up to where it says something at once, and how long it rests then.
    stops: BTreeMap<usize, Duration>,
    reading: Reading,
    end: End,
    is_narrow: bool,
    expected: Expected,
}

/// What a peer must see.
#[derive(Debug)]
struct Expected {
    greeting: Option<String>,
    /// Two outcomes where a fault may be answered early or late.
    outcomes: [Outcome; 2],
    freedom: Freedom,
}

impl Talk {
    pub(crate) fn new(random: &mut Random, policy: &Policy) -> Self {
        let frames = match random.below(8) {
            0..3 => random.sample(streams::any_stream()),
            3..6 => random.sample(streams::short_stream()),
            _ => flood(random),
        };
        let expected = Expected::new(&frames, policy);
        let padding = "x".repeat(random.pick(&[0, 0, 200, 5000]));
        let head = request::with_header(&format!("X-Padding: {padding}\r\n"));
        let says = [&head, &frames[..]].concat();
        let pieces = random.sample(streams::cuts()).pieces(says.len());
        let mut stops: BTreeMap<_, _> = pieces.iter().map(|it| (it.end, Duration::ZERO)).collect();
        for _ in 0..random.within(0..12) {
            // In the head and in the first frames as often as in all the rest.
            let end = random.pick(&[says.len(), says.len().min(head.len() + 50)]);
            let rest = Duration::from_micros(random.below(5000));
            stops.insert(random.within(1..end + 1), rest);
        }
        let closes = [0, 1].map(|it| expected.outcomes[it].close.is_some());
        let end = match random.below(8) {
            0 => End::Vanish(random.within(0..says.len())),
            1..4 => End::Finish(Duration::ZERO),
            4..7 if closes == [true; 2] => End::Last,
            4..7 if closes == [false; 2] && frames.len() < LOOKED_AT_BYTES_MAX => End::Content,
            _ => End::Finish(FINISH),
        };
        Talk {
            says: Stream::from(&says[..]),
            stops,
            reading: match random.below(4) {
                0 => Reading::Slow(random.within(1..2000)),
                1 => Reading::Late,
                _ => Reading::Eager,
            },
            end,
            is_narrow: random.one_in(2),
            expected,
        }
    }

    /// Talks to the server at `address`, and says what was wrong with its answer.
    pub(crate) fn hold(&self, address: SocketAddr) -> Result<(), String> {
        let stream = self.connect(address).map_err(|it| it.to_string())?;
        if matches!(self.end, End::Vanish(_)) {
            // Whoever does not read need not be read from.
            let _ = stream
                .set_write_timeout(Some(LATE))
                .and_then(|()| self.say(&stream));
            let reset = Socket::from(stream).set_linger(Some(Duration::ZERO));
            return reset.map_err(|it| it.to_string());
        }
        let (done, is_done) = mpsc::channel();
        let (content, is_content) = mpsc::channel();
        let (said, heard) = thread::scope(|scope| {
            let stream = &stream;
            let saying = scope.spawn(move || {
                self.say(stream)?;
                // Who listens may have ended already.
                let _ = done.send(());
                match self.end {
                    End::Finish(rest) => thread::sleep(rest),
                    End::Content => {
                        let waited = is_content.recv_timeout(PATIENCE);
                        if waited == Err(RecvTimeoutError::Timeout) {
                            return Err(ErrorKind::TimedOut.into());
                        }
                    }
                    End::Last | End::Vanish(_) => return Ok(()),
                }
                stream.shutdown(Shutdown::Write)
            });
            if let Reading::Late = self.reading {
                let _ = is_done.recv_timeout(LATE);
            }
            let heard = self.listen(stream, content);
            (saying.join().expect("no panic"), heard)
        });
        let heard = heard?;
        said.map_err(|error| format!("{error} after which {} bytes came", heard.len()))?;
        self.expected.check(&heard)
    }

    fn connect(&self, address: SocketAddr) -> Result<TcpStream, Error> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if self.is_narrow {
            socket.set_recv_buffer_size(NARROW_BYTES)?;
            socket.set_tcp_mss(NARROW_SEGMENT_BYTES)?;
        }
        socket.connect(&address.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Says all that it has to say.
    fn say(&self, mut stream: &TcpStream) -> Result<(), Error> {
        let mut said = 0;
        for (&end, &rest) in &self.stops {
            if let End::Vanish(last) = self.end
                && end > last
            {
                return stream.write_all(&self.says[said..last]);
            }
            stream.write_all(&self.says[said..end])?;
            said = end;
            thread::sleep(rest);
        }
        Ok(())
    }

    /// Reads to the server's FIN, and tells `content` when all has come that is owed.
    fn listen(&self, mut stream: &TcpStream, content: Sender<()>) -> Result<Vec<u8>, String> {
        let mut content = matches!(self.end, End::Content).then_some(content);
        let (mut max, mut rests) = match self.reading {
            Reading::Slow(max) => (max, RESTS),
            Reading::Eager | Reading::Late => (LOOKED_AT_BYTES_MAX, 0),
        };
        let mut heard = Vec::new();
        let mut buffer = vec![0; LOOKED_AT_BYTES_MAX];
        loop {
            let count = stream.read(&mut buffer[..max]).map_err(|error| {
                let count = heard.len();
                format!("{error} instead of a FIN after {count} bytes")
            })?;
            if count == 0 {
                return Ok(heard);
            }
            heard.extend_from_slice(&buffer[..count]);
            content = content.filter(|_| !self.expected.is_met(&heard));
            if rests == 0 {
                max = buffer.len();
            } else {
                rests -= 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// More than narrow buffers hold, in frames of all sizes.
fn flood(random: &mut Random) -> Stream {
    let size = random.pick(&[300, 20_000, 100_000]);
    let mut frame = || Frame::binary(&frames::noise(size, random.next())).encode();
    let flood: Vec<u8> = (0..FLOOD_BYTES / size).flat_map(|_| frame()).collect();
    Stream::from(&flood[..])
}

impl Expected {
    fn new(stream: &[u8], policy: &Policy) -> Self {
        let rules = Rules {
            message_bytes_max: policy.message_bytes_max,
            prefix: policy.prefix.clone(),
            ..Rules::default()
        };
        let outcome = |patience| oracle::echo(stream, &rules, patience);
        Expected {
            greeting: policy.greeting.clone(),
            outcomes: [outcome(Patience::None), outcome(Patience::WholeHeader)],
            freedom: Freedom {
                holds: true,
                rewrites: policy.prefix.is_some(),
            },
        }
    }

    /// Whether all has come that is owed, unless that is the server's end.
    fn is_met(&self, heard: &[u8]) -> bool {
        let Some(response) = request::read(heard) else {
            return false;
        };
        let owed = self.outcomes[0].events.len() + usize::from(self.greeting.is_some());
        replies::read(&response.rest).is_ok_and(|seen| seen.outcome.events.len() >= owed)
    }

    /// Checks all that was heard.
    fn check(&self, heard: &[u8]) -> Result<(), String> {
        let response = request::read(heard).ok_or("no response")?;
        response.assert_switched();
        let mut seen = replies::read(&response.rest)?;
        if let Some(greeting) = &self.greeting {
            let greeted = compare::take_greeting(&mut seen.outcome, greeting);
            // Who ends before it is due may miss it.
            if !greeted && seen.outcome.messages().count() > 0 {
                return Err(format!("no greeting: {seen:?}"));
            }
        }
        let [early, late] = &self.outcomes;
        compare::same(&seen, early, self.freedom)
            .or_else(|why| compare::same(&seen, late, self.freedom).map_err(|_| why))
    }
}
