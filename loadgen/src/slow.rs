//! Slow readers: connections that send as fast as they may and read next to nothing.
//!
//! They are not measured. What is measured is what they do to the other connections of the run, and to
//! the server's memory. All of them live on one thread with blocking-free sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use socket2::Socket;

use crate::control::{Control, Phase};
use crate::dial::Dialer;
use crate::echo::workload::Workload;
use crate::payload::Random;
use crate::session::Crew;
use crate::session::opener::{Gate, Opener};
use crate::target::Protocol;
use crate::wire::failure::Failure;
use crate::wire::frame::{Head, Opcode, append_frame};

/// Payload of each of their messages.
const MESSAGE_BYTES: usize = 1024;

/// Messages written at a time.
const MESSAGES_PER_WRITE: usize = 32;

/// Most bytes written at a time, should a server take everything: about 2.5 MB a second.
const WRITE_BYTES_MAX: usize = 256 * 1024;

/// How often each of them reads, and how much: about 1 kB a second.
const READ_EVERY: Duration = Duration::from_millis(100);
const READ_BYTES: usize = 100;

/// Their receive buffer: the smaller, the sooner the server feels that nobody reads.
const RECEIVE_BUFFER_BYTES: usize = 4096;

/// The slow readers of a run.
pub(crate) struct SlowReaders(JoinHandle<Result<usize, Failure>>);

impl SlowReaders {
    /// Starts the thread that connects those numbered `numbers`, and has them send and read until the
    /// phase is `Drain`. It counts as one of those who must be ready.
    pub(crate) fn start(
        dialer: &Arc<Dialer>,
        control: &Arc<Control>,
        workload: &Workload,
        numbers: Range<usize>,
        seed: u64,
    ) -> io::Result<SlowReaders> {
        let (dialer, control) = (Arc::clone(dialer), Arc::clone(control));
        let workload = workload.clone();
        let thread = Builder::new()
            .name("slow-readers".to_owned())
            .spawn(move || {
                let result = live(&dialer, &control, workload, numbers, seed);
                if result.is_err() {
                    control.fail();
                }
                result
            })?;
        Ok(SlowReaders(thread))
    }

    /// Waits for their end; says how many the server had closed before, or why they could not connect.
    pub(crate) fn end(self) -> Result<usize, Failure> {
        self.0
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn live(
    dialer: &Arc<Dialer>,
    control: &Control,
    workload: Workload,
    numbers: Range<usize>,
    seed: u64,
) -> Result<usize, Failure> {
    // A stream of its own, that no load thread uses.
    let mut random = Random::new(seed, u64::MAX / 2);
    let mut readers = Vec::with_capacity(numbers.len());
    let nonces = Random::new(seed, u64::MAX / 2 + 1);
    let crew = Crew::new(control.clock, Arc::clone(dialer), workload, nonces);
    let gate = Gate::new(numbers, dialer.pace(), 1, control.clock.now());
    let failed = |error| Failure::Io("preparing a slow reader", error);
    let mut opener = Opener::new(crew, gate, &control.standing).map_err(failed)?;
    while let Some(wait) = opener.patience() {
        if control.phase() >= Phase::Drain {
            return Ok(0);
        }
        for (_, made) in opener.turn(wait).map_err(failed)? {
            let (stream, _) = made?;
            let small = stream.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
            small.map_err(failed)?;
            readers.push(Reader {
                stream,
                unsent: Vec::new(),
            });
        }
    }
    control.ready.fetch_add(1, Ordering::Release);
    control.news.ring();
    let asked = readers.len();
    while control.phase() < Phase::Drain {
        readers.retain_mut(|reader| reader.is_open(dialer.protocol(), &mut random));
        std::thread::sleep(READ_EVERY);
    }
    Ok(asked - readers.len())
}

struct Reader {
    stream: Socket,
    unsent: Vec<u8>,
}

impl Reader {
    /// Sends until the kernel takes no more, and reads a little; `false` if the server has closed.
    fn is_open(&mut self, protocol: Protocol, random: &mut Random) -> bool {
        let would_block = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
        let mut written = 0;
        while written < WRITE_BYTES_MAX {
            if self.unsent.is_empty() {
                append_messages(&mut self.unsent, protocol, random);
            }
            match self.stream.write(&self.unsent) {
                Ok(bytes) => {
                    written += bytes;
                    self.unsent.drain(..bytes);
                }
                Err(error) if would_block(&error) => break,
                Err(_) => return false,
            }
        }
        match self.stream.read(&mut [0; READ_BYTES]) {
            Ok(bytes) => bytes > 0,
            Err(error) => would_block(&error),
        }
    }
}

fn append_messages(out: &mut Vec<u8>, protocol: Protocol, random: &mut Random) {
    let mut payload = [0; MESSAGE_BYTES];
    for _ in 0..MESSAGES_PER_WRITE {
        random.fill(&mut payload);
        match protocol {
            Protocol::Tcp => out.extend_from_slice(&payload),
            Protocol::Websocket => {
                append_frame(out, Head::whole(Opcode::Binary), &payload, random.key());
            }
        }
    }
}
