//! The peer of a self-test: one thread that answers WebSocket messages as quickly as a plain loop over poll does, or
//! as wrongly as it is asked to. It knows no more of the protocol than the generator speaks, and nothing of the
//! server that this project is about.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringload::load::pin;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use sha1::{Digest as _, Sha1};

/// Appended to the key before hashing (RFC 6455 section 1.3).
const ACCEPT_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Longest request head, and longest frame: more than any self-test sends.
const HEAD_BYTES_MAX: u64 = 8 * 1024;
const FRAME_BYTES_MAX: usize = 1 << 20;

/// The opcode after which nothing comes.
const CLOSE: u8 = 8;

/// Bytes taken at once.
const READ_BYTES: usize = 256 * 1024;

/// How long a client may take with its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Paths that ask for what is wrong: the last byte of a reply is another one; once, all answers wait.
pub(super) const WRONG: &str = "/wrong";
pub(super) const LATE: &str = "/late";

/// Which reply is wrong.
const WRONG_REPLY: u32 = 100;

/// When answers wait, counted from the first message there, and for how long.
const LATE_AFTER: Duration = Duration::from_millis(300);
pub(super) const LATE_BY: Duration = Duration::from_millis(100);

/// Starts it on a free port of 127.0.0.1, on these CPUs; says where it listens. It waits for clients until the program
/// ends.
pub(super) fn start(cpus: &[usize]) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let cpus = cpus.to_vec();
    thread::spawn(move || {
        // Where the kernel does not allow the CPU, the generator's figures hold all the same.
        let _ = pin(&cpus);
        serve(&listener)
    });
    Ok(address)
}

/// A connection. Its socket blocks: the generator's do not, so it reads what is written to it.
struct Client {
    stream: TcpStream,
    path: String,
    /// The beginning of a frame.
    rest: Vec<u8>,
    replies: u32,
}

/// What goes wrong here is seen by the run that it fails.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let mut clients: Vec<Client> = Vec::new();
    let (mut bytes, mut replies) = (vec![0; READ_BYTES], Vec::new());
    let mut late: Option<Instant> = None;
    loop {
        let of = |socket| PollFd::from_borrowed_fd(socket, PollFlags::IN);
        let sockets = clients.iter().map(|client| of(client.stream.as_fd()));
        let mut sockets: Vec<PollFd<'_>> = sockets.chain([of(listener.as_fd())]).collect();
        match poll(&mut sockets, None) {
            Err(Errno::INTR) => continue,
            ended => ended?,
        };
        let ready = sockets.iter().map(|socket| !socket.revents().is_empty());
        let mut ready = ready.collect::<Vec<bool>>().into_iter();
        clients.retain_mut(|client| {
            let is_ready = ready.next() == Some(true);
            if is_ready && client.path == LATE {
                let at = *late.get_or_insert_with(|| Instant::now() + LATE_AFTER);
                if at <= Instant::now() {
                    thread::sleep(LATE_BY);
                    late = Some(at + 1000 * PATIENCE);
                }
            }
            !is_ready || client.attend(&mut bytes, &mut replies).is_some()
        });
        if ready.next() == Some(true) {
            clients.extend(listener.accept().and_then(|(it, _)| Client::welcome(it)));
        }
    }
}

impl Client {
    /// Shakes hands.
    fn welcome(mut stream: TcpStream) -> io::Result<Client> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = String::new();
        let mut lines = BufReader::new(&stream).take(HEAD_BYTES_MAX);
        // The client waits for the answer: nothing comes behind the head.
        while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head)? > 0 {}
        let key = head.split("Sec-WebSocket-Key: ").nth(1);
        let key = key.and_then(|rest| rest.lines().next());
        let key = key.ok_or(io::ErrorKind::InvalidData)?;
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{ACCEPT_GUID}")));
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(answer.as_bytes())?;
        Ok(Client {
            stream,
            path,
            rest: Vec::new(),
            replies: 0,
        })
    }

    /// Reads and answers what there is; `None` when the connection is over.
    fn attend(&mut self, bytes: &mut [u8], replies: &mut Vec<u8>) -> Option<()> {
        let read = self.stream.read(bytes).ok().filter(|read| *read > 0)?;
        self.rest.extend_from_slice(&bytes[..read]);
        replies.clear();
        let (mut used, mut is_open) = (0, true);
        while is_open {
            let length = answer(&self.rest[used..], replies)?;
            if length == 0 {
                break;
            }
            is_open = self.rest[used] & 0x0f != CLOSE;
            used += length;
            self.replies += 1;
            if self.path == WRONG && self.replies == WRONG_REPLY {
                *replies.last_mut()? ^= 1;
            }
        }
        self.rest.drain(..used);
        self.stream.write_all(replies).ok()?;
        is_open.then_some(())
    }
}

/// Appends the reply to the frame that `bytes` begin with, and returns that frame's length: 0 if it is not whole, `None`
/// if it is no client's.
///
/// ```text
/// masked:   | FIN, opcode | 1, length | longer length | key (4) | payload, masked |
/// reply:    | FIN, opcode | 0, length | longer length | payload |
/// ```
fn answer(bytes: &[u8], replies: &mut Vec<u8>) -> Option<usize> {
    let &[first, second, ..] = bytes else {
        return Some(0);
    };
    let (short, key_at) = match second & 0x7f {
        126 => (0, 4),
        127 => (0, 10),
        length => (usize::from(length), 2),
    };
    let Some(&[a, b, c, d]) = bytes.get(key_at..key_at + 4) else {
        return Some(0);
    };
    let longer = bytes[2..key_at].iter();
    let length = longer.fold(short, |number, byte| number << 8 | usize::from(*byte));
    if second & 0x80 == 0 || length > FRAME_BYTES_MAX {
        return None;
    }
    let end = key_at + 4 + length;
    let Some(payload) = bytes.get(key_at + 4..end) else {
        return Some(0);
    };
    replies.extend_from_slice(&[first, second & 0x7f]);
    replies.extend_from_slice(&bytes[2..key_at]);
    let start = replies.len();
    replies.extend_from_slice(payload);
    let key = u32::from_ne_bytes([a, b, c, d]);
    let (fours, rest) = replies[start..].as_chunks_mut::<4>();
    for four in fours {
        *four = (u32::from_ne_bytes(*four) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(responder: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(responder).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // RFC 6455 section 1.3 has this key and its answer.
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.contains("Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{answer}"
        );
        stream
    }

    #[test]
    fn it_answers_and_closes() {
        let responder = start(&[]).unwrap();
        let mut stream = connect(responder, "/");
        // "Hello", masked, as in RFC 6455 section 5.7, in two parts; then a Close.
        stream.write_all(&[0x81, 0x85, 0x37, 0xfa, 0x21]).unwrap();
        stream
            .write_all(&[0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
            .unwrap();
        stream.write_all(&[0x88, 0x80, 1, 2, 3, 4]).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, *b"\x81\x05Hello\x88\x00");
    }

    #[test]
    fn long_frames_are_answered_and_one_reply_is_wrong_where_that_is_asked_for() {
        for size in [125, 126, 65_535, 65_536, 300_000] {
            let payload: Vec<u8> = (0..size).map(|index| index as u8).collect();
            let length = |mask: u8| match size {
                ..126 => vec![mask | size as u8],
                126..65_536 => [vec![mask | 126], (size as u16).to_be_bytes().to_vec()].concat(),
                _ => [vec![mask | 127], (size as u64).to_be_bytes().to_vec()].concat(),
            };
            let masked = payload.iter().zip([1, 2, 3, 4].iter().cycle());
            let masked: Vec<u8> = masked.map(|(byte, key)| byte ^ key).collect();
            let request = [&[0x82], &length(0x80)[..], &[1, 2, 3, 4], &masked].concat();
            let mut reply = Vec::new();
            assert_eq!(answer(&request[..request.len() - 1], &mut reply), Some(0));
            assert_eq!(answer(&request, &mut reply), Some(request.len()));
            assert!(reply == [&[0x82], &length(0)[..], &payload].concat());
        }
        let responder = start(&[]).unwrap();
        let mut stream = connect(responder, WRONG);
        let mut reply = [0; 3];
        for number in 1..=WRONG_REPLY {
            stream.write_all(&[0x82, 0x81, 0, 0, 0, 0, 42]).unwrap();
            stream.read_exact(&mut reply).unwrap();
            assert_eq!(reply[2] == 42, number != WRONG_REPLY);
        }
    }

    #[test]
    fn whoever_speaks_something_else_is_dropped() {
        assert!(answer(&[0x82, 2, 1, 1, 1, 1, 1, 1], &mut Vec::new()).is_none());
        let long = [0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        assert!(answer(&long, &mut Vec::new()).is_none());
        let responder = start(&[]).unwrap();
        let mut stream = TcpStream::connect(responder).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
    }
}
