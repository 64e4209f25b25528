//! The task of a connection: a read under way as long as the shard wants to read, and a write as long as
//! there is something to send. Never two writes: they might overtake each other.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use super::core::{Seat, Shared};
use super::pool::SMALL_BYTES;
use super::world::{Stream, World};
use crate::shard::{Entrance, SlotId, Write};

/// Takes a connection in, for a task of its own.
pub(super) fn open<W: World>(shared: &Rc<Shared<W>>, stream: W::Stream, entrance: Entrance) {
    let stream = Rc::new(stream);
    let seat = Seat::new(Rc::clone(&stream));
    let id = shared.core_now().shard.open(seat, entrance);
    shared.core().pass_on();
    let present = shared.presence();
    shared.world.spawn(async move {
        let reset = converse(&present, id, &stream).await;
        present.core().release(id);
        if let Some(stream) = Rc::into_inner(stream) {
            stream.close(reset);
        }
    });
}

/// What a task has waited for.
enum Event {
    Written(io::Result<usize>),
    Read(io::Result<usize>, Vec<u8>),
    Called,
}

/// What is under way for a connection, and how it has gone so far.
#[derive(Default)]
struct Progress {
    /// How many bytes the write under way offers; none: there is none.
    offered: Option<usize>,
    /// The number of the last write.
    write: u64,
    reading: bool,
    /// The write under way when the last read began.
    behind: Option<u64>,
    /// The last read filled its buffer, or nearly so.
    busy: bool,
    stopped: bool,
    aborted: bool,
}

impl Progress {
    /// Whether the write under way waits for the peer: a read has completed that began after it, and one
    /// that need not wait would have completed before.
    fn is_stuck(&self) -> bool {
        self.offered.is_some() && self.behind == Some(self.write)
    }

    fn stop(&mut self, stream: &impl Stream) {
        if !std::mem::replace(&mut self.stopped, true) {
            stream.stop_reading();
        }
    }

    fn read(&mut self, result: &io::Result<usize>, capacity: usize) {
        self.reading = false;
        match *result {
            Ok(count) if count == capacity => self.busy = true,
            Ok(count) if count <= SMALL_BYTES => self.busy = false,
            _ => {}
        }
    }
}

/// Carries a connection from its first byte to its end, and says whether it ends with a reset. Nothing is
/// under way any more then.
async fn converse<W: World>(shared: &Shared<W>, id: SlotId, stream: &W::Stream) -> bool {
    let mut reading = pin!(None);
    let mut writing = pin!(None);
    let mut progress = Progress::default();
    loop {
        let (wants, ending) = shared.core().wants(id);
        if let Write::Close { .. } = wants.write {
            shared.core().tell(id, stream, shared.world.now());
        }
        match wants.write {
            Write::Send if progress.offered.is_none() => {
                let front = shared.core_now().begin_write(id);
                if let Some(bytes) = front {
                    progress.offered = Some(bytes.len);
                    progress.write += 1;
                    writing.set(Some(stream.write(bytes)));
                }
            }
            Write::HalfClose => {
                shared.core().tell(id, stream, shared.world.now());
                stream.half_close();
                let mut core = shared.core_now();
                core.shard.half_closed(id);
                core.pass_on();
                continue;
            }
            Write::Close { reset } if progress.offered.is_none() && !progress.reading => {
                return reset;
            }
            Write::Close { reset: true } => {
                if !std::mem::replace(&mut progress.aborted, true) {
                    stream.abort();
                }
            }
            Write::Close { reset: false } => progress.stop(stream),
            Write::Rest if ending => progress.stop(stream),
            Write::Send | Write::Rest | Write::PutDown(_) => {}
        }
        if wants.read && !progress.reading {
            progress.reading = true;
            progress.behind = progress.offered.map(|_| progress.write);
            let buffer = shared.core().take_buffer(id, progress.busy);
            reading.set(Some(stream.read(buffer)));
        }
        match next(shared, id, writing.as_mut(), reading.as_mut()).await {
            Event::Written(result) => {
                let offered = progress.offered.take().unwrap_or(0);
                let mut core = shared.core_now();
                core.written(id, offered, &result);
                core.pass_on();
            }
            Event::Read(result, buffer) => {
                progress.read(&result, buffer.len());
                let mut core = shared.core_now();
                if progress.is_stuck() {
                    core.waits(id);
                }
                core.received(id, result, buffer);
                core.pass_on();
            }
            Event::Called => {}
        }
    }
}

/// Waits for what is under way, or for a call. A write is looked at first, and so begun first.
async fn next<W: World>(
    shared: &Shared<W>,
    id: SlotId,
    mut writing: Pin<&mut Option<impl Future<Output = io::Result<usize>>>>,
    mut reading: Pin<&mut Option<impl Future<Output = (io::Result<usize>, Vec<u8>)>>>,
) -> Event {
    poll_fn(|context| {
        if let Some(write) = writing.as_mut().as_pin_mut()
            && let Poll::Ready(result) = write.poll(context)
        {
            writing.set(None);
            return Poll::Ready(Event::Written(result));
        }
        if let Some(read) = reading.as_mut().as_pin_mut()
            && let Poll::Ready((result, buffer)) = read.poll(context)
        {
            reading.set(None);
            return Poll::Ready(Event::Read(result, buffer));
        }
        let called = shared.core().poll_called(id, context);
        called.map(|()| Event::Called)
    })
    .await
}
