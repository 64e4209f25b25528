//! Sends replies when they are due, and notes when that really was.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::log::Record;
use super::script::Delay;
use super::server::Shared;

/// Replies of a connection that may be held at a time; then its reading stops.
const HELD_MAX: usize = 100_000;

/// A reply on its way: what it answers, and its bytes. `sent` is filled in when it is sent.
struct Reply {
    record: Record,
    bytes: Vec<u8>,
    due: Instant,
}

/// The sending half of a connection.
pub(crate) struct Replies {
    out: Out,
    queue: Option<(SyncSender<Reply>, JoinHandle<()>)>,
}

/// What both the reading thread and that of held replies write to.
#[derive(Clone)]
struct Out {
    stream: Arc<Mutex<TcpStream>>,
    shared: Arc<Shared>,
}

impl Replies {
    /// To `stream`. Replies that are held have a thread of their own, so that reading goes on.
    pub(crate) fn new(stream: TcpStream, shared: &Arc<Shared>) -> Replies {
        let out = Out {
            stream: Arc::new(Mutex::new(stream)),
            shared: Arc::clone(shared),
        };
        let queue = (!matches!(shared.script.delay, Delay::None)).then(|| {
            let (sender, receiver) = sync_channel(HELD_MAX);
            let out = out.clone();
            (sender, thread::spawn(move || out.send_when_due(&receiver)))
        });
        Replies { out, queue }
    }

    /// Sends `bytes`, which answer `record`, in `delay` from now.
    pub(crate) fn answer(&self, record: Record, bytes: Vec<u8>, delay: Duration) -> io::Result<()> {
        let due = Instant::now() + delay;
        let reply = Reply { record, bytes, due };
        match &self.queue {
            Some((sender, _)) => sender
                .send(reply)
                .map_err(|_| io::ErrorKind::BrokenPipe.into()),
            None => self.out.send(&reply),
        }
    }

    /// Sends bytes that answer no message at once.
    pub(crate) fn push(&self, bytes: &[u8]) -> io::Result<()> {
        self.out.stream.lock().unwrap().write_all(bytes)
    }

    /// Waits until all that is held has been sent.
    pub(crate) fn finish(&mut self) {
        if let Some((sender, thread)) = self.queue.take() {
            drop(sender);
            drop(thread.join());
        }
    }

    /// The connection itself, once nothing is held any more.
    pub(crate) fn stream(&mut self) -> TcpStream {
        self.finish();
        let stream = self.out.stream.lock().unwrap();
        stream.try_clone().unwrap()
    }
}

impl Out {
    fn send_when_due(&self, replies: &Receiver<Reply>) {
        for reply in replies {
            thread::sleep(reply.due.saturating_duration_since(Instant::now()));
            if self.send(&reply).is_err() {
                return;
            }
        }
    }

    fn send(&self, reply: &Reply) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap();
        let record = Record {
            sent: Instant::now(),
            ..reply.record
        };
        // First, so that whoever has the reply finds it in the log.
        self.shared.log().records.push(record);
        stream.write_all(&reply.bytes)
    }
}
