//! Peers that send without pause, all of them in one thread.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create, sendfile};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::server::{Server, until};
use crate::support::frames::{self, Frame};
use crate::wire::Wire;

/// The most that is written or read at once, in bytes: as much as fills a socket, so that the server is
/// never without something to read.
const PIECE_BYTES: usize = 1 << 20;

/// How long a flood waits for its sockets before it looks at the clock.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 10_000_000,
};

/// One flood at a time: two would leave a small machine no time for those beside them.
static FLOODED: Mutex<()> = Mutex::new(());

/// Waits until nobody floods.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    FLOODED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What flooding peers do with their echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// They read them as they come.
    All,
    /// They never read.
    Nothing,
    /// They read so many bytes in a second.
    Slowly(u64),
}

/// What they send, in memory of the kernel's.
struct Stream {
    file: File,
    bytes: u64,
}

impl Stream {
    fn of(bytes: &[u8]) -> Self {
        let file = memfd_create("flood", MemfdFlags::CLOEXEC).expect("a file in memory");
        let mut file = File::from(file);
        file.write_all(bytes).expect("a file in memory");
        Stream {
            file,
            bytes: bytes.len() as u64,
        }
    }
}

/// How far a flooding peer has come.
#[derive(Debug, Default)]
struct Progress {
    sent: AtomicU64,
    read: AtomicU64,
    /// It was closed or reset.
    ended: AtomicBool,
}

/// Peers that send.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    progress: Arc<[Progress]>,
    running: Option<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

impl Flood {
    /// Upgraded connections, each of which sends binary messages of `message_bytes` until it is stopped.
    pub(crate) fn start(
        server: &Server,
        peers: usize,
        message_bytes: usize,
        reading: Reading,
    ) -> Self {
        let wires = (0..peers).map(|_| Wire::upgrade(server)).collect();
        Self::of(wires, message_bytes, reading)
    }

    /// The same on connections that are there.
    pub(crate) fn of(wires: Vec<Wire>, message_bytes: usize, reading: Reading) -> Self {
        Self::in_turn(turn(), wires, message_bytes, reading)
    }

    /// The same for whoever has waited for its turn before its connections were made.
    pub(crate) fn in_turn(
        alone: MutexGuard<'static, ()>,
        wires: Vec<Wire>,
        message_bytes: usize,
        reading: Reading,
    ) -> Self {
        let message = Frame::binary(&frames::noise(message_bytes, 31)).encode();
        let stream = Stream::of(&message.repeat(PIECE_BYTES.div_ceil(message.len())));
        let progress: Arc<[Progress]> = wires.iter().map(|_| Progress::default()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, told) = (Arc::clone(&stop), Arc::clone(&progress));
        let running = thread::spawn(move || run(&wires, &stream, reading, &stopped, &told));
        Flood {
            stop,
            progress,
            running: Some(running),
            _alone: alone,
        }
    }

    /// What each has read, in bytes.
    pub(crate) fn read_bytes(&self) -> Vec<u64> {
        let read = self.progress.iter().map(|it| it.read.load(Relaxed));
        read.collect()
    }

    /// How many of them were closed or reset.
    pub(crate) fn ended(&self) -> usize {
        let ended = self.progress.iter().filter(|it| it.ended.load(Relaxed));
        ended.count()
    }

    /// Waits until they have read so many bytes on average.
    pub(crate) fn wait_until_read(&self, mean_bytes: u64) {
        let peers = self.progress.len() as u64;
        until("the flood is served", || {
            (self.read_bytes().iter().sum::<u64>() >= mean_bytes * peers).then_some(())
        });
    }

    /// Waits until none of them could send for a while.
    pub(crate) fn wait_until_stuck(&self) {
        const STILL: Duration = Duration::from_millis(500);
        let sent = || self.progress.iter().map(|it| it.sent.load(Relaxed)).sum();
        let mut before: u64 = sent();
        let mut since = Instant::now();
        until("the flood stands still", || {
            let now = sent();
            if now != before {
                (before, since) = (now, Instant::now());
            }
            (since.elapsed() >= STILL).then_some(())
        });
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let result = self.running.take().map(JoinHandle::join);
        assert!(
            thread::panicking() || matches!(result, Some(Ok(()))),
            "the flood ran to its end"
        );
    }
}

/// Keeps `wires` busy until it is told to stop.
fn run(
    wires: &[Wire],
    stream: &Stream,
    reading: Reading,
    stop: &AtomicBool,
    progress: &[Progress],
) {
    let start = Instant::now();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut live: Vec<usize> = (0..wires.len()).collect();
    for wire in wires {
        wire.stream.set_nonblocking(true).expect("a socket option");
    }
    while !stop.load(Relaxed) {
        let due = match reading {
            Reading::All => u64::MAX,
            Reading::Nothing => 0,
            Reading::Slowly(per_second) => per_second * start.elapsed().as_millis() as u64 / 1000,
        };
        let room = |peer: usize| due.saturating_sub(progress[peer].read.load(Relaxed));
        let wanted = |peer: usize| match room(peer) {
            0 => PollFlags::OUT,
            _ => PollFlags::IN | PollFlags::OUT,
        };
        let mut polled: Vec<_> = live
            .iter()
            .map(|peer| PollFd::from_borrowed_fd(wires[*peer].stream.as_fd(), wanted(*peer)))
            .collect();
        poll(&mut polled, Some(&LOOK)).expect("poll");
        let ready: Vec<_> = polled.iter().map(PollFd::revents).collect();
        let mut position = 0;
        live.retain(|peer| {
            let ready = ready[position];
            position += 1;
            let may_read = if ready.contains(PollFlags::IN) {
                room(*peer)
            } else {
                0
            };
            let lives = !ready.intersects(PollFlags::ERR)
                && read(&wires[*peer], &mut buffer, may_read, &progress[*peer])
                && (!ready.contains(PollFlags::OUT)
                    || write(&wires[*peer], stream, &progress[*peer]));
            progress[*peer].ended.store(!lives, Relaxed);
            lives
        });
        if matches!(reading, Reading::Slowly(_)) {
            // Else the sockets that are readable before their time would make this spin.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Takes in at most `most` bytes once; whether the connection lives. They are dropped and not copied
/// (tcp(7), `MSG_TRUNC`), so that it is the server that cannot keep up.
fn read(wire: &Wire, buffer: &mut [u8], most: u64, progress: &Progress) -> bool {
    let most = buffer
        .len()
        .min(usize::try_from(most).unwrap_or(usize::MAX));
    if most == 0 {
        return true;
    }
    match recv(&wire.stream, &mut buffer[..most], RecvFlags::TRUNC) {
        Ok((0, _)) => false,
        Ok((count, _)) => {
            progress.read.fetch_add(count as u64, Relaxed);
            true
        }
        Err(error) => error == Errno::AGAIN,
    }
}

/// Goes on with what is to be sent, over and over, where it left off; whether the connection lives. The
/// kernel sends it from where it lies (sendfile(2)).
fn write(wire: &Wire, stream: &Stream, progress: &Progress) -> bool {
    let mut at = progress.sent.load(Relaxed) % stream.bytes;
    let rest = (stream.bytes - at) as usize;
    match sendfile(&wire.stream, &stream.file, Some(&mut at), rest) {
        Ok(count) => {
            progress.sent.fetch_add(count as u64, Relaxed);
            true
        }
        Err(error) => error == Errno::AGAIN,
    }
}
