//! A conversation over WebSocket, as the script has it.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use sha1::{Digest, Sha1};
use socket2::SockRef;

use super::deflate;
use super::log::{Alteration, Record};
use super::replies::Replies;
use super::script::{Habit, Pongs, Reading};
use super::server::Shared;
use super::wire::{
    CLOSE, CONTINUATION, FIN, Frame, PING, PONG, RSV1, TEXT, frame, header, long_length, masked,
    read_frame, read_head, thirds, three_fragments,
};

/// Close 1001, "going".
const GOING: &[u8] = b"\x03\xe9going";

/// How long the client has to read what was sent before the fake is gone.
const LINGER: Duration = Duration::from_secs(2);

/// What a slow server reads at a time.
const SLOW_READ_BYTES: usize = 16 * 1024;

/// A whole message of the client.
struct Message {
    opcode: u8,
    frames: usize,
    key: [u8; 4],
    payload: Vec<u8>,
}

/// What is done about a message.
enum Answer {
    Send(Vec<u8>),
    /// Nothing now, and perhaps later.
    Nothing,
    /// These bytes, then the end of the stream.
    End(Vec<u8>),
    Reset,
}

struct Conversation<'a> {
    shared: &'a Shared,
    ordinal: usize,
    replies: Replies,
    /// Replies so far.
    number: u64,
    /// A reply that is to come after the next one.
    postponed: Option<(Record, Vec<u8>)>,
}

/// Serves one connection until it ends.
pub(super) fn serve(stream: TcpStream, ordinal: usize, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(16 * 1024, Paced::new(stream.try_clone()?, shared));
    let head = read_head(&mut input)?;
    shared.log().requests.push(head.clone());
    let habit = shared.script.habit;
    while habit == Habit::PingFirst && shared.log().pongs < ordinal {
        thread::sleep(Duration::from_millis(5));
    }
    if !shake_hands(&stream, &head, shared)? {
        return linger(&stream);
    }
    match habit {
        Habit::PingFirst => {
            (&stream).write_all(&frame(FIN | PING, b"there?"))?;
            let pong = read_frame(&mut input)?;
            if (pong.opcode(), &pong.payload[..]) != (PONG, b"there?") {
                return Err(io::Error::other("no pong"));
            }
            shared.log().pongs += 1;
        }
        Habit::CloseFirst => {
            (&stream).write_all(&frame(FIN | CLOSE, GOING))?;
            return await_close(&stream, &mut input, shared);
        }
        _ => {}
    }
    let mut conversation = Conversation {
        shared,
        ordinal,
        replies: Replies::new(stream, shared),
        number: 0,
        postponed: None,
    };
    let ended = conversation.converse(&mut input);
    if let Err(error) = &ended
        && error.kind() == io::ErrorKind::Other
    {
        let complaint = format!("connection {ordinal}: {error}");
        shared.log().complaints.push(complaint);
    }
    ended
}

/// Answers the request; whether the conversation goes on.
fn shake_hands(mut stream: &TcpStream, head: &str, shared: &Shared) -> io::Result<bool> {
    let script = &shared.script;
    match script.habit {
        Habit::Refuse => {
            stream.write_all(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nno seats\n",
            )?;
            return Ok(false);
        }
        Habit::NotHttp => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")?;
            return Ok(false);
        }
        Habit::Silent => loop {
            thread::sleep(LINGER);
        },
        _ => {}
    }
    let key = header(head, "Sec-WebSocket-Key").unwrap_or_default();
    let salt = match script.habit {
        Habit::WrongAccept => "x",
        _ => "",
    };
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11{salt}"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(name) = script.subprotocol {
        answer += &format!("Sec-WebSocket-Protocol: {name}\r\n");
    }
    if script.deflate {
        answer += &format!("Sec-WebSocket-Extensions: {}\r\n", deflate::AGREED);
    }
    answer += "\r\n";
    let mut answer = answer.into_bytes();
    match script.habit {
        Habit::Tutorial => answer.extend(frame(FIN | TEXT, b"Hi there")),
        Habit::SocketIo => {
            answer.extend(frame(FIN | TEXT, b"0{\"sid\":\"s\"}"));
            answer.extend(frame(FIN | TEXT, b"2"));
        }
        Habit::Greeting => answer.extend(frame(FIN | TEXT, b"welcome")),
        Habit::HangupInHandshake => answer.truncate(answer.len() / 2),
        _ => {}
    }
    stream.write_all(&answer)?;
    Ok(script.habit != Habit::HangupInHandshake)
}

impl Conversation<'_> {
    fn converse(&mut self, input: &mut impl Read) -> io::Result<()> {
        while let Some(message) = self.read_message(input)? {
            let record = Record {
                connection: self.ordinal,
                number: self.number,
                opcode: message.opcode,
                frames: message.frames,
                payload_bytes: message.payload.len(),
                key: message.key,
                received: Instant::now(),
                sent: Instant::now(),
            };
            let delay = self.shared.arrival();
            match self.answer(&message, record) {
                Answer::Send(bytes) => self.replies.answer(record, bytes, delay)?,
                Answer::Nothing => {}
                Answer::End(bytes) if bytes.first() == Some(&(FIN | CLOSE)) => {
                    self.replies.push(&bytes)?;
                    return await_close(&self.replies.stream(), input, self.shared);
                }
                Answer::End(bytes) => {
                    self.replies.push(&bytes)?;
                    return self.end();
                }
                Answer::Reset => return self.reset(),
            }
            if Habit::Swap(self.number.wrapping_sub(1)) == self.shared.script.habit
                && let Some((record, bytes)) = self.postponed.take()
            {
                self.replies.answer(record, bytes, delay)?;
            }
            self.number += 1;
            if self.shared.script.reading == Reading::Stops(self.number) {
                loop {
                    thread::sleep(LINGER);
                }
            }
        }
        self.end()
    }

    /// The next message; pings on the way are answered. `None` after a Close, which is answered too.
    fn read_message(&mut self, input: &mut impl Read) -> io::Result<Option<Message>> {
        let mut message: Option<Message> = None;
        let mut is_compressed = false;
        loop {
            let frame = read_frame(input)?;
            match frame.opcode() {
                CLOSE | PING | PONG => {
                    if self.control(&frame)? {
                        return Ok(None);
                    }
                    continue;
                }
                CONTINUATION if message.is_none() => {
                    return Err(io::Error::other("a continuation of no message"));
                }
                1 | 2 if message.is_some() => {
                    return Err(io::Error::other("a new message inside a fragmented one"));
                }
                CONTINUATION | 1 | 2 => {}
                reserved => return Err(io::Error::other(format!("opcode {reserved}"))),
            }
            let is_first = message.is_none();
            let may_compress = self.shared.script.deflate && is_first;
            is_compressed |= frame.first & RSV1 != 0;
            if frame.first & 0x30 != 0 || (frame.first & RSV1 != 0 && !may_compress) {
                return Err(io::Error::other("RSV bits without an extension"));
            }
            let whole = message.get_or_insert_with(|| Message {
                opcode: frame.opcode(),
                frames: 0,
                key: frame.key,
                payload: Vec::new(),
            });
            whole.frames += 1;
            whole.payload.extend_from_slice(&frame.payload);
            if frame.is_last() {
                break;
            }
        }
        let mut message = message.expect("a frame has just been put into it");
        if is_compressed {
            message.payload = deflate::inflate(&message.payload)?;
        }
        if message.opcode == TEXT && std::str::from_utf8(&message.payload).is_err() {
            return Err(io::Error::other("a text message is not UTF-8"));
        }
        Ok(Some(message))
    }

    /// Answers a control frame; whether it was a Close.
    fn control(&mut self, control: &Frame) -> io::Result<bool> {
        if control.first & 0x70 != 0 || !control.is_last() || control.payload.len() > 125 {
            return Err(io::Error::other("a control frame is not as it must be"));
        }
        match control.opcode() {
            CLOSE if control.payload.len() == 1 => {
                return Err(io::Error::other("a Close with half a code"));
            }
            CLOSE => {
                self.shared.log().closes.push(control.payload.clone());
                self.replies.push(&frame(FIN | CLOSE, &control.payload))?;
                return Ok(true);
            }
            PING => {
                self.shared.log().pings.push(self.ordinal);
                let right = &control.payload[..];
                let mut wrong = right.to_vec();
                wrong.iter_mut().for_each(|byte| *byte ^= 1);
                match self.shared.script.pongs {
                    Pongs::Right => self.replies.push(&frame(FIN | PONG, right))?,
                    Pongs::Wrong => self.replies.push(&frame(FIN | PONG, &wrong))?,
                    Pongs::Never => {}
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// What the script has for this message.
    fn answer(&mut self, message: &Message, record: Record) -> Answer {
        let payload = &message.payload[..];
        let opcode = message.opcode;
        let first = FIN | opcode;
        let number = self.number;
        Answer::Send(match self.shared.script.habit {
            Habit::Corrupt(n) if n == number => {
                self.whole(opcode, &self.alter(payload, payload.len() - 1))
            }
            Habit::CorruptFirst(n) if n == number => self.whole(opcode, &self.alter(payload, 0)),
            Habit::CorruptEach(n) if number % n == n - 1 => {
                let at = (number / n) as usize % payload.len();
                self.whole(opcode, &self.alter(payload, at))
            }
            Habit::CorruptAll => self.whole(opcode, &self.alter(payload, 0)),
            Habit::CorruptMiddle(n) if n == number => {
                self.whole(opcode, &self.alter(payload, payload.len() / 2))
            }
            Habit::CorruptFragment(n) if n == number => {
                let [one, two, _] = thirds(payload);
                let altered = self.alter(payload, one.len() + two.len() - 1);
                three_fragments(opcode, thirds(&altered), &[])
            }
            Habit::Truncate(n) if n == number => self.whole(opcode, &payload[..payload.len() - 1]),
            Habit::TruncateFragment(n) if n == number => {
                let [one, two, three] = thirds(payload);
                three_fragments(opcode, [one, two, &three[..three.len() - 1]], &[])
            }
            Habit::Extend(n) if n == number => self.whole(opcode, &[payload, b"+"].concat()),
            Habit::ExtendFragment(n) if n == number => {
                let [one, two, three] = thirds(payload);
                let two = [two, three, b"+"].concat();
                three_fragments(opcode, [one, &two, three], &[])
            }
            Habit::Duplicate(n) if n == number => frame(first, payload).repeat(2),
            Habit::Swap(n) if n == number => {
                self.postponed = Some((record, frame(first, payload)));
                return Answer::Nothing;
            }
            Habit::Swallow(n) if n == number => return Answer::Nothing,
            Habit::SwapKinds => frame(first ^ 3, payload),
            Habit::Masked => masked(first, payload),
            Habit::Rsv(n) if n == number => frame(first | RSV1, payload),
            Habit::ReservedOpcode(n) if n == number => frame(FIN | 3, payload),
            Habit::Continuation(n) if n == number => frame(FIN | CONTINUATION, payload),
            Habit::Nested(n) if n == number => {
                let [one, two, three] = thirds(payload);
                three_fragments(opcode, [one, two, three], &frame(first, payload))
            }
            Habit::LongLength(n) if n == number => long_length(first, payload),
            Habit::LongPing(n) if n == number => {
                [frame(FIN | PING, &[0; 126]), frame(first, payload)].concat()
            }
            Habit::FragmentedPing(n) if n == number => {
                [frame(PING, b"?"), frame(first, payload)].concat()
            }
            Habit::Close(n) if n == number => return Answer::End(frame(FIN | CLOSE, GOING)),
            Habit::CloseWithoutCode(n) if n == number => {
                return Answer::End(frame(FIN | CLOSE, &[]));
            }
            Habit::CloseWithHalfCode(n) if n == number => {
                return Answer::End(frame(FIN | CLOSE, &GOING[..1]));
            }
            Habit::Hangup(n) if n == number => return Answer::End(Vec::new()),
            Habit::HangupInFrame(n) if n == number => {
                let mut half = frame(first, payload);
                half.truncate(half.len() / 2);
                return Answer::End(half);
            }
            Habit::Reset(n) if n == number => return Answer::Reset,
            Habit::Fragments => three_fragments(opcode, thirds(payload), &frame(FIN | PING, b"?")),
            Habit::Tutorial => frame(FIN | TEXT, &[b"Received: ", payload].concat()),
            Habit::Twice => frame(first ^ 3, b"another").repeat(2),
            Habit::SocketIo if payload == b"3" => {
                self.shared.log().pongs += 1;
                return Answer::Nothing;
            }
            Habit::SocketIo if payload == b"40" => frame(first, b"40{\"sid\":\"n\"}"),
            Habit::SocketIo if number.is_multiple_of(3) => {
                [frame(first, b"2"), frame(first, payload)].concat()
            }
            Habit::UnaskedPongs => {
                [frame(FIN | PONG, b"still here"), frame(first, payload)].concat()
            }
            _ => self.whole(opcode, payload),
        })
    }

    /// A message in one frame, deflated if that was agreed on.
    fn whole(&self, opcode: u8, payload: &[u8]) -> Vec<u8> {
        match self.shared.script.deflate {
            true => frame(FIN | RSV1 | opcode, &deflate::deflate(payload)),
            false => frame(FIN | opcode, payload),
        }
    }

    /// `payload` with one bit of the byte at `offset` changed, which is noted.
    fn alter(&self, payload: &[u8], offset: usize) -> Vec<u8> {
        let mut wrong = payload.to_vec();
        wrong[offset] ^= 1;
        self.shared.log().alterations.push(Alteration {
            connection: self.ordinal,
            number: self.number,
            right: payload.to_vec(),
            wrong: wrong.clone(),
        });
        wrong
    }

    /// Ends the stream, and waits until the client has gone too.
    fn end(&mut self) -> io::Result<()> {
        let stream = self.replies.stream();
        if self.shared.script.habit == Habit::LateEnd {
            thread::sleep(Duration::from_millis(100));
            stream.set_nonblocking(true)?;
            let is_there = matches!(stream.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
            self.shared.log().left += usize::from(!is_there);
            stream.set_nonblocking(false)?;
        }
        linger(&stream)
    }

    /// Ends the connection with a reset: a close that lingers for no time.
    fn reset(&mut self) -> io::Result<()> {
        SockRef::from(&self.replies.stream()).set_linger(Some(Duration::ZERO))
    }
}

/// Notes how the client answers a Close, and ends the stream.
fn await_close(stream: &TcpStream, input: &mut impl Read, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(LINGER))?;
    while let Ok(frame) = read_frame(input) {
        if frame.opcode() == CLOSE {
            shared.log().closes.push(frame.payload);
            break;
        }
    }
    linger(stream)
}

fn linger(stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let mut stream = stream;
    io::copy(&mut stream, &mut io::sink()).map(drop)
}

/// Reads at the pace of the script.
pub(super) struct Paced {
    stream: TcpStream,
    pause: Duration,
}

impl Paced {
    pub(super) fn new(stream: TcpStream, shared: &Shared) -> Paced {
        let pause = match shared.script.reading {
            Reading::Slow(pause) => pause,
            _ => Duration::ZERO,
        };
        Paced { stream, pause }
    }
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.pause.is_zero() {
            return self.stream.read(buffer);
        }
        thread::sleep(self.pause);
        let room = buffer.len().min(SLOW_READ_BYTES);
        self.stream.read(&mut buffer[..room])
    }
}
