//! A small WebSocket echo, a thread per connection: what the tests of `compare` and `suite` start.
//!
//! `--port N`, and on request a bad habit: `--burn MICROSECONDS` of CPU time for each message, `--refuse`
//! handshakes, `--die-after N` messages, `--corrupt-after N` messages, `--longest N` bytes
//! of a message, beyond which it dies. `--note FILE` appends the line
//! `start NAME` to a file, the name being that of `--as NAME`.

use std::fs::OpenOptions;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use base64::Engine as _;
use sha1::{Digest, Sha1};

/// What it does wrong, if anything.
#[derive(Clone, Copy, Default)]
struct Habits {
    burn: Duration,
    refuse: bool,
    die_after: Option<u64>,
    corrupt_after: Option<u64>,
    longest: Option<u64>,
}

/// Messages of all connections so far.
static MESSAGES: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut arguments = env::args().skip(1);
    let mut port = None;
    let mut habits = Habits::default();
    let (mut note, mut name) = (None, String::new());
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--version" => {
                println!("echo 1.2.3");
                return;
            }
            "--note" => note = arguments.next(),
            "--as" => name = arguments.next().unwrap_or_default(),
            "--port" => port = Some(number(&argument, arguments.next())),
            "--burn" => habits.burn = Duration::from_micros(number(&argument, arguments.next())),
            "--refuse" => habits.refuse = true,
            "--die-after" => habits.die_after = Some(number(&argument, arguments.next())),
            "--longest" => habits.longest = Some(number(&argument, arguments.next())),
            "--corrupt-after" => habits.corrupt_after = Some(number(&argument, arguments.next())),
            other => fail(&format!("{other} is no option")),
        }
    }
    let port = port.unwrap_or_else(|| fail("give --port"));
    let listener = TcpListener::bind(("127.0.0.1", port as u16))
        .unwrap_or_else(|error| fail(&format!("port {port}: {error}")));
    if let Some(note) = &note {
        write_note(note, &format!("start {name}"));
    }
    for stream in listener.incoming().flatten() {
        // A client that goes away in the middle is no concern of this server's.
        thread::spawn(move || drop(serve(&stream, habits)));
    }
}

fn number(name: &str, value: Option<String>) -> u64 {
    let value = value.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| fail(&format!("{name} needs a number")))
}

fn write_note(file: &str, line: &str) {
    let noted = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
    noted.unwrap_or_else(|error| fail(&format!("{file}: {error}")));
}

fn fail(why: &str) -> ! {
    eprintln!("echo: {why}");
    exit(2)
}

fn serve(stream: &TcpStream, habits: Habits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BufReader::new(stream), stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(&mut input)?);
    }
    if habits.refuse {
        return output.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let key = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .map_or("", |(_, key)| key.trim());
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(digest);
    write!(
        output,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )?;
    loop {
        let (first, mut payload) = frame(&mut input)?;
        match first & 0x0f {
            8 => {
                output.write_all(&reply(0x88, &payload))?;
                return output.flush();
            }
            9 => output.write_all(&reply(0x8a, &payload))?,
            10 => {}
            _ => {
                burn(habits.burn);
                let number = MESSAGES.fetch_add(1, Ordering::Relaxed) + 1;
                if habits
                    .longest
                    .is_some_and(|longest| payload.len() as u64 > longest)
                {
                    fail("too long for me");
                }
                if habits.die_after.is_some_and(|after| number > after) {
                    fail("enough is enough");
                }
                if habits.corrupt_after.is_some_and(|after| number > after)
                    && let Some(last) = payload.last_mut()
                {
                    *last ^= 1;
                }
                output.write_all(&reply(first, &payload))?;
            }
        }
    }
}

fn burn(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn byte(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// First byte and unmasked payload.
fn frame(input: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let first = byte(input)?;
    let short = byte(input)? & 0x7f;
    let width = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = if width == 0 { u64::from(short) } else { 0 };
    for _ in 0..width {
        length = length << 8 | u64::from(byte(input)?);
    }
    let mut key = [0; 4];
    input.read_exact(&mut key)?;
    let mut payload = vec![0; length as usize];
    input.read_exact(&mut payload)?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
    Ok((first, payload))
}

fn reply(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
