//! A conversation in raw bytes, as the script has it: what one read yields is a message.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::log::{Alteration, Record};
use super::replies::Replies;
use super::script::Habit;
use super::server::Shared;
use super::websocket::Paced;

/// Serves one connection until it ends.
pub(super) fn serve(stream: TcpStream, ordinal: usize, shared: &Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Paced::new(stream.try_clone()?, shared);
    let mut replies = Replies::new(stream, shared);
    let mut buffer = [0; 4096];
    for number in 0.. {
        let bytes = input.read(&mut buffer)?;
        let payload = &buffer[..bytes];
        let record = Record {
            connection: ordinal,
            number,
            opcode: 0,
            frames: 0,
            payload_bytes: bytes,
            key: [0; 4],
            received: Instant::now(),
            sent: Instant::now(),
        };
        if bytes == 0 {
            break;
        }
        let delay = shared.arrival();
        let mut reply = payload.to_vec();
        let last = bytes - 1;
        match shared.script.habit {
            Habit::Hangup(n) if n == number => break,
            Habit::Reset(n) if n == number => {
                return SockRef::from(&replies.stream()).set_linger(Some(Duration::ZERO));
            }
            Habit::Swallow(n) if n == number => continue,
            Habit::Corrupt(n) if n == number => reply[last] ^= 1,
            Habit::CorruptFirst(n) if n == number => reply[0] ^= 1,
            Habit::CorruptMiddle(n) if n == number => reply[bytes / 2] ^= 1,
            Habit::CorruptEach(n) if number % n == n - 1 => {
                reply[(number / n) as usize % bytes] ^= 1;
            }
            Habit::Truncate(n) if n == number => reply.truncate(last),
            Habit::Extend(n) if n == number => reply.push(b'+'),
            Habit::Duplicate(n) if n == number => reply.extend_from_slice(payload),
            _ => {}
        }
        if reply != payload {
            shared.log().alterations.push(Alteration {
                connection: ordinal,
                number,
                right: payload.to_vec(),
                wrong: reply.clone(),
            });
        }
        replies.answer(record, reply, delay)?;
    }
    replies.stream().shutdown(Shutdown::Write)
}
