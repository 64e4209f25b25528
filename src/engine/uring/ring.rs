//! The ring itself: operations by name, completions by key.
//!
//! Everything that hands an address to the kernel is here or in `buffers.rs`. The rule both rest on: a
//! buffer belongs to whoever submitted it until its completion, even after its connection is dead.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode};
use rustix::net::{Shutdown, shutdown};

use super::buffers::{Buffers, GROUP};
use super::features::Setup;
use super::kernel::{Completion, Kernel, Key};
use crate::engine::post::Mail;
use crate::engine::socket::{self, reset_on_close};
use crate::engine::{Post, Worker};
use crate::protocol::Moment;
use crate::shard::{Lease, Load, SlotId, Standing};
use crate::sys::clock;
use crate::sys::wake::Waker;

/// How often a full submission queue is submitted to make room for one more entry.
const SUBMITS_MAX: usize = 100;

/// The longest sleep. Without a timeout at all, a shortest wait would end it (seen on 6.18).
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Completions that end a wait for more of them.
const BATCH_COMPLETIONS: u32 = 64;

/// The flags of `io_uring_enter(2)` for a wait: for completions, with a timeout (5.11).
const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;

/// A wait for peers is no wait for a disk (6.15): without it an idle server shows as a CPU in iowait, and
/// as pressure on I/O.
const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// Builds a ring, still disabled: one issuer, completions run when asked for (6.1).
pub(super) fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_r_disabled();
    builder.setup_cqsize(entries * 4);
    match builder.clone().setup_no_sqarray().build(entries) {
        // NO_SQARRAY came with 6.6; the others are needed.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(entries),
        built => built,
    }
}

/// A key as the kernel carries it: the kind in the four highest bits, then 28 bits of index, then the
/// generation.
fn encode(key: Key) -> u64 {
    let pack = |kind: u64, index: u32, generation: u32| {
        debug_assert!(index < 1 << 28, "an index fits into 28 bits");
        kind << 60 | u64::from(index) << 32 | u64::from(generation)
    };
    match key {
        Key::Ignored => 0,
        Key::Accept(listener) => pack(1, listener, 0),
        Key::Wake => pack(2, 0, 0),
        Key::Receive(id) => pack(3, id.index, id.generation),
        Key::Send(id) => pack(4, id.index, id.generation),
    }
}

fn decode(data: u64) -> Key {
    let index = (data >> 32) as u32 & ((1 << 28) - 1);
    let id = SlotId {
        index,
        generation: data as u32,
    };
    match data >> 60 {
        1 => Key::Accept(index),
        2 => Key::Wake,
        3 => Key::Receive(id),
        4 => Key::Send(id),
        _ => Key::Ignored,
    }
}

/// The queues of an open ring, and what it works on.
pub(super) struct Ring<'a> {
    submitter: Submitter<'a>,
    submission: SubmissionQueue<'a>,
    completion: CompletionQueue<'a>,
    buffers: &'a mut Buffers,
    listeners: &'a [TcpListener],
    waker: &'a Waker,
    mail: Mail,
    /// How long to wait for [`BATCH_COMPLETIONS`] before one is enough.
    min_wait: Duration,
    /// What every wait says to the kernel.
    wait_flags: u32,
    /// Why a full queue could not be emptied: an operation has been lost.
    failed: Option<io::Error>,
}

impl<'a> Ring<'a> {
    pub(super) fn new(setup: &'a mut Setup, worker: &'a Worker<'_>) -> Self {
        let parameters = setup.ring.params();
        let min_wait = if parameters.is_feature_min_timeout() {
            worker.tuning.min_wait
        } else {
            Duration::ZERO
        };
        let mut wait_flags = ENTER_GETEVENTS | ENTER_EXT_ARG;
        if parameters.is_feature_no_iowait() {
            wait_flags |= ENTER_NO_IOWAIT;
        }
        let (mut submitter, submission, completion) = setup.ring.split();
        // Spares the lookup of the ring's descriptor (5.18); without it everything works as well.
        let _ = submitter.register_ring_fd();
        Ring {
            submitter,
            submission,
            completion,
            buffers: &mut setup.buffers,
            listeners: &worker.listeners,
            waker: worker.stop.waker(worker.number),
            mail: Mail::new(worker.exchange.clone(), worker.number),
            min_wait,
            wait_flags,
            failed: None,
        }
    }

    fn listener(&self, listener: u32) -> Fd {
        Fd(self.listeners[listener as usize].as_raw_fd())
    }

    fn cancel(&mut self, which: CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(which).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS), Key::Ignored);
    }

    fn push(&mut self, entry: Entry, key: Key) {
        let entry = entry.user_data(encode(key));
        let mut obstacle = None;
        for _ in 0..SUBMITS_MAX {
            // SAFETY: the memory that an entry names outlives its operation: a buffer ring's and a queued
            // slab's by the contract of `send`, everything else is static or passed by value.
            if unsafe { self.submission.push(&entry) }.is_ok() {
                return;
            }
            // A full queue is emptied by submitting it.
            self.submission.sync();
            obstacle = self.submitter.submit().err();
            self.submission.sync();
        }
        self.failed = Some(obstacle.unwrap_or_else(|| io::ErrorKind::WouldBlock.into()));
    }
}

fn fd(socket: &OwnedFd) -> Fd {
    Fd(socket.as_raw_fd())
}

impl Kernel for Ring<'_> {
    type Socket = OwnedFd;

    fn now(&mut self) -> Moment {
        clock::now()
    }

    fn listeners(&self) -> u32 {
        self.listeners.len() as u32
    }

    fn enter(&mut self, patience: Option<Duration>) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.submission.sync();
        self.completion.sync();
        let patience = patience.unwrap_or(SLEEP_MAX);
        let timeout = Timespec::from(patience);
        let mut arguments = SubmitArgs::new().timespec(&timeout);
        let mut completions = 1;
        // The kernel does not look at a timeout before the shortest wait is over.
        if patience > self.min_wait && !self.min_wait.is_zero() {
            arguments = arguments.min_wait_usec(self.min_wait.as_micros() as u32);
            completions = BATCH_COMPLETIONS;
        }
        let queued = self.submission.len() as u32;
        // SAFETY: the argument is what `ENTER_EXT_ARG` announces, and outlives the call with what it
        // names; the entries are those of `push`.
        let entered = unsafe {
            self.submitter
                .enter(queued, completions, self.wait_flags, Some(&arguments))
        };
        self.submission.sync();
        self.completion.sync();
        match entered {
            Ok(_) => Ok(()),
            // Time has passed, a signal came, or completions must be taken over first.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    #[inline]
    fn next_completion(&mut self) -> Option<Completion> {
        let entry = self.completion.next()?;
        let flags = entry.flags();
        Some(Completion {
            key: decode(entry.user_data()),
            result: entry.result(),
            more: cqueue::more(flags),
            buffer: cqueue::buffer_select(flags),
            buffer_more: cqueue::buffer_more(flags),
        })
    }

    fn watch_waker(&mut self) {
        let entry = opcode::PollAdd::new(Fd(self.waker.as_fd().as_raw_fd()), libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(entry, Key::Wake);
    }

    fn clear_waker(&mut self) {
        self.waker.clear();
    }

    fn accept(&mut self, listener: u32) {
        let entry = opcode::AcceptMulti::new(self.listener(listener))
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(entry, Key::Accept(listener));
    }

    fn accept_one(&mut self, listener: u32) {
        let null = std::ptr::null_mut();
        let entry = opcode::Accept::new(self.listener(listener), null, null.cast())
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.push(entry, Key::Accept(listener));
    }

    fn cancel_accept(&mut self, listener: u32) {
        self.cancel(CancelBuilder::user_data(encode(Key::Accept(listener))));
    }

    fn accepted(&mut self, number: u32) -> OwnedFd {
        // SAFETY: the kernel has just made this descriptor for us, and named it once.
        unsafe { OwnedFd::from_raw_fd(number as RawFd) }
    }

    #[inline]
    fn receive(&mut self, id: SlotId, socket: &OwnedFd, max: Option<u32>) {
        let entry = match max {
            None => opcode::RecvMulti::new(fd(socket), GROUP).build(),
            Some(max) => opcode::Recv::new(fd(socket), std::ptr::null_mut(), max)
                .buf_group(GROUP)
                .build()
                .flags(Flags::BUFFER_SELECT),
        };
        self.push(entry, Key::Receive(id));
    }

    fn cancel_receive(&mut self, id: SlotId) {
        self.cancel(CancelBuilder::user_data(encode(Key::Receive(id))));
    }

    #[inline]
    unsafe fn send(&mut self, id: SlotId, socket: &OwnedFd, load: &Load, wait: bool, more: bool) {
        let mut flags = libc::MSG_NOSIGNAL;
        if !wait {
            flags |= libc::MSG_DONTWAIT;
        }
        if more {
            flags |= libc::MSG_MORE;
        }
        let bytes = match load {
            Load::Slab(slab) => slab.bytes(),
            // SAFETY: by the same contract: what is queued is counted.
            Load::Lease(lease) => unsafe { self.claimed(lease) },
        };
        let entry = opcode::Send::new(fd(socket), bytes.as_ptr(), bytes.len() as u32)
            .flags(flags)
            .build();
        self.push(entry, Key::Send(id));
    }

    fn standing(&self, socket: &OwnedFd) -> Standing {
        socket::standing(socket)
    }

    fn shut_down(&mut self, socket: &OwnedFd) {
        // At once: an operation of the ring would go to a thread of the kernel's, which costs more.
        // A peer that is gone already shows in the next receive.
        let _ = shutdown(socket, Shutdown::Write);
    }

    fn cancel_all(&mut self, id: SlotId, _: &OwnedFd) {
        // By their keys, which the kernel has hashed: by descriptor it would look at all there are.
        self.cancel(CancelBuilder::user_data(encode(Key::Receive(id))));
        self.cancel(CancelBuilder::user_data(encode(Key::Send(id))));
    }

    fn post(&mut self) -> &mut impl Post<OwnedFd> {
        &mut self.mail
    }

    fn close(&mut self, socket: OwnedFd, reset: bool) {
        if reset {
            reset_on_close(&socket);
        }
    }

    fn peer(&self, socket: &OwnedFd) -> Option<SocketAddr> {
        socket::peer(socket)
    }

    fn buffers(&self) -> u16 {
        self.buffers.layout().count
    }

    fn buffer_bytes(&self) -> u32 {
        self.buffers.layout().bytes
    }

    fn provide(&mut self, buffer: u16) {
        self.buffers.provide(buffer);
    }

    #[inline]
    unsafe fn filled(&mut self, lease: &Lease) -> &mut [u8] {
        // SAFETY: by the same contract.
        unsafe { self.buffers.memory_mut().filled(lease) }
    }

    #[inline]
    unsafe fn claimed(&self, lease: &Lease) -> &[u8] {
        // SAFETY: by the same contract.
        unsafe { self.buffers.memory().claimed(lease) }
    }
}

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        // Otherwise the ring would live on until the thread ends, and with it what it has under way.
        let _ = self.submitter.unregister_ring_fd();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_kernel() {
        let id = SlotId {
            index: (1 << 28) - 1,
            generation: u32::MAX,
        };
        let other = SlotId {
            index: 0,
            generation: 1,
        };
        for key in [
            Key::Ignored,
            Key::Wake,
            Key::Accept(0),
            Key::Accept(77),
            Key::Receive(id),
            Key::Send(id),
            Key::Receive(other),
            Key::Send(other),
        ] {
            assert_eq!(decode(encode(key)), key);
        }
    }
}
