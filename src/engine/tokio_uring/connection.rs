//! The task of a connection: a read under way as long as the shard wants to read, and a write as long as
//! there is something to send. Never two writes: they might overtake each other.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use super::core::Shared;
use super::pool::SMALL_BYTES;
use super::world::{Stream, World};
use crate::engine::{Origin, Post};
use crate::shard::{Destination, SlotId, Write};

/// Has a connection that was accepted here served by whoever is to.
pub(super) fn place<W: World>(shared: &Rc<Shared<W>>, stream: W::Stream, listener: u32) {
    let mut post = shared.world.post();
    let left = shared.core().state.place(&mut post, stream, listener);
    if let Some(stream) = left {
        take_in(shared, stream, Origin::Accepted { listener });
    }
}

/// Serves a connection from now on.
pub(super) fn take_in<W: World>(shared: &Rc<Shared<W>>, stream: W::Stream, origin: Origin) {
    let stream = Rc::new(stream);
    let taken_in = shared.core_now().take_in(Rc::clone(&stream), origin);
    match taken_in {
        Some(id) => {
            begin(shared, id, stream);
            if shared.core().state.passes_on(id) {
                shared.leave(id, Destination::Successor);
            }
        }
        None => close(stream, true),
    }
}

/// Gives a connection a task of its own.
fn begin<W: World>(shared: &Rc<Shared<W>>, id: SlotId, stream: Rc<W::Stream>) {
    shared.core().pass_on();
    let present = shared.presence();
    shared.world.spawn(async move {
        match converse(&present, id, &stream).await {
            End::Close { reset } => {
                present.core().release(id);
                close(stream, reset);
            }
            End::PutDown(to) => {
                let carried = present.core().put_down(id);
                if let (Some(carried), Some(stream)) = (carried, Rc::into_inner(stream)) {
                    present.world.post().hand_over(stream, carried, to);
                }
            }
        }
    });
}

fn close(stream: Rc<impl Stream>, reset: bool) {
    if let Some(stream) = Rc::into_inner(stream) {
        stream.close(reset);
    }
}

/// How a task leaves its connection.
enum End {
    Close { reset: bool },
    PutDown(Destination),
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
    /// What is under way has been cancelled.
    cancelled: bool,
}

impl Progress {
    /// Whether the write under way waits for the peer: a read has completed that began after it, and one
    /// that need not wait would have completed before.
    fn is_stuck(&self) -> bool {
        self.offered.is_some() && self.behind == Some(self.write)
    }

    /// Whether nothing is under way. What is, is cancelled.
    fn ends(&mut self, stream: &impl Stream) -> bool {
        let is_over = self.offered.is_none() && !self.reading;
        if !is_over && !std::mem::replace(&mut self.cancelled, true) {
            stream.cancel();
        }
        is_over
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

/// Carries a connection from its first byte to its end here, and says how it is left. Nothing is under way any
/// more then.
async fn converse<W: World>(shared: &Shared<W>, id: SlotId, stream: &W::Stream) -> End {
    let mut reading = pin!(None);
    let mut writing = pin!(None);
    let mut progress = Progress::default();
    loop {
        let (wants, ending) = shared.core().wants(id);
        match wants.write {
            Write::Send if progress.offered.is_none() => {
                let front = shared.core_now().begin_write(id);
                if let Some(bytes) = front {
                    progress.offered = Some(bytes.len);
                    progress.write += 1;
                    progress.cancelled = false;
                    writing.set(Some(stream.write(bytes)));
                }
            }
            Write::HalfClose => {
                shared.core().tell(id);
                stream.half_close();
                shared.core_now().half_closed(id);
                continue;
            }
            Write::PutDown(to) => {
                shared.core().tell(id);
                if progress.ends(stream) {
                    return End::PutDown(to);
                }
            }
            Write::Close { reset } => {
                shared.core().tell(id);
                if progress.ends(stream) {
                    return End::Close { reset };
                }
            }
            Write::Rest if ending => {
                if progress.ends(stream) {
                    return End::Close { reset: false };
                }
            }
            Write::Send | Write::Rest => {}
        }
        if wants.read && !progress.reading && !ending {
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
