#![allow(dead_code, reason = "each test file uses its own part")]
//! A fake echo server with bad habits on request, written the slow and obvious way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use sha1::{Digest, Sha1};

/// What the server does wrong, if anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing.
    Right,
    /// Every reply in three fragments, with a ping between them.
    Fragments,
    /// Reply number N of each connection has its last byte changed.
    Corrupt(u64),
    /// Text comes back as binary and the other way round.
    SwapKinds,
    /// Close frame (1001, "going") instead of reply number N.
    Close(u64),
    /// End of stream instead of reply number N.
    Hangup(u64),
    /// Handshakes are answered with 503.
    Refuse,
    /// The 101 has the wrong Sec-WebSocket-Accept.
    WrongAccept,
    /// Frames are masked.
    Masked,
    /// Reply number N never comes.
    Swallow(u64),
    /// Every reply comes this many milliseconds late.
    Late(u64),
}

/// Serves WebSocket on a free port of 127.0.0.1, a thread per connection, until the test ends.
pub(crate) fn serve(habit: Habit) -> SocketAddr {
    spawn(move |stream| websocket(stream, habit))
}

/// Serves raw bytes.
pub(crate) fn serve_tcp(habit: Habit) -> SocketAddr {
    spawn(move |stream| raw(stream, habit))
}

fn spawn(
    handler: impl Fn(TcpStream) -> std::io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let handler = handler.clone();
            // A client that goes away in the middle is no concern of the fake's.
            thread::spawn(move || drop(handler(stream.unwrap())));
        }
    });
    address
}

fn raw(mut stream: TcpStream, habit: Habit) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    for number in 0.. {
        let bytes = stream.read(&mut buffer)?;
        if bytes == 0 || habit == Habit::Hangup(number) {
            return Ok(());
        }
        if habit == Habit::Corrupt(number) {
            buffer[bytes - 1] ^= 1;
        }
        stream.write_all(&buffer[..bytes])?;
    }
    Ok(())
}

fn websocket(mut stream: TcpStream, habit: Habit) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let head = read_head(&mut stream)?;
    if habit == Habit::Refuse {
        stream.write_all(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9\r\n\r\nno seats\n",
        )?;
        return stream.shutdown(Shutdown::Write);
    }
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default()
        .trim();
    let salt = if habit == Habit::WrongAccept { "x" } else { "" };
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11{salt}"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    let mut number = 0;
    loop {
        let (opcode, mut payload) = read_frame(&mut stream)?;
        match opcode {
            8 => {
                stream.write_all(&frame(0x88, &payload, false))?;
                return Ok(());
            }
            9 | 10 => continue,
            _ => {}
        }
        if let Habit::Late(milliseconds) = habit {
            thread::sleep(Duration::from_millis(milliseconds));
        }
        let first = 0x80 | opcode;
        let reply = match habit {
            Habit::Close(n) if n == number => {
                stream.write_all(&frame(0x88, b"\x03\xe9going", false))?;
                stream.shutdown(Shutdown::Write)?;
                thread::sleep(Duration::from_millis(200));
                return Ok(());
            }
            Habit::Hangup(n) if n == number => return Ok(()),
            Habit::Swallow(n) if n == number => Vec::new(),
            Habit::Corrupt(n) if n == number => {
                if let Some(last) = payload.last_mut() {
                    *last ^= 1;
                }
                frame(first, &payload, false)
            }
            Habit::SwapKinds => frame(first ^ 3, &payload, false),
            Habit::Masked => frame(first, &payload, true),
            Habit::Fragments => {
                let (a, rest) = payload.split_at(payload.len() / 3);
                let (b, c) = rest.split_at(rest.len() / 2);
                [
                    frame(opcode, a, false),
                    frame(0x89, b"?", false),
                    frame(0, b, false),
                    frame(0x80, c, false),
                ]
                .concat()
            }
            _ => frame(first, &payload, false),
        };
        stream.write_all(&reply)?;
        number += 1;
    }
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// One client frame: opcode and unmasked payload.
fn read_frame(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut start = [0; 2];
    stream.read_exact(&mut start)?;
    assert_eq!(
        start[0] & 0xf0,
        0x80,
        "the client sends whole messages without RSV bits"
    );
    assert_eq!(start[1] & 0x80, 0x80, "the client masks");
    let length = match start[1] & 0x7f {
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            usize::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length)?;
            usize::try_from(u64::from_be_bytes(length)).unwrap()
        }
        short => usize::from(short),
    };
    let mut key = [0; 4];
    stream.read_exact(&mut key)?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload)?;
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[index % 4];
    }
    let opcode = start[0] & 0x0f;
    if opcode == 1 {
        assert!(std::str::from_utf8(&payload).is_ok(), "text is UTF-8");
    }
    Ok((opcode, payload))
}

fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let mut out = vec![first];
    let mask_bit = if masked { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..=125 => out.push(mask_bit | length as u8),
        length @ 126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        out.extend_from_slice(&[0; 4]);
    }
    out.extend_from_slice(payload);
    out
}
