//! The ring itself: operations by name, completions by key.
//!
//! Everything that hands an address to the kernel is here or in `buffers.rs`. The rule both rest on: a
//! buffer belongs to whoever submitted it until its completion, even after its connection is dead.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode};

use tracing::warn;

use super::buffers::GROUP;
use crate::shard::SlotId;

/// Completions taken over at a time.
pub(super) const COMPLETIONS_MAX: usize = 1024;

/// How long ring creation is tried again when locked memory is short: the kernel releases what an
/// exiting process held only after a while.
const MEMORY_PATIENCE: Duration = Duration::from_secs(2);

/// How often a full submission queue is submitted to make room for one more entry.
const SUBMITS_MAX: usize = 100;

/// The smallest submission queue worth having.
const ENTRIES_MIN: u32 = 64;

/// What a completion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A connection was accepted by this listener, or could not be.
    Accept(usize),
    /// Another thread wants to be heard.
    Wake,
    /// Bytes for this connection.
    Receive(SlotId),
    /// Bytes of this connection have gone.
    Send(SlotId),
    /// FIN of this connection has gone.
    Shutdown(SlotId),
    /// Something whose outcome does not matter.
    Ignored,
}

impl Key {
    /// The kind in the four highest bits, then 28 bits of index, then the generation.
    fn encode(self) -> u64 {
        let pack = |kind: u64, index: u32, generation: u32| {
            debug_assert!(index < 1 << 28, "an index fits into 28 bits");
            kind << 60 | u64::from(index) << 32 | u64::from(generation)
        };
        match self {
            Key::Ignored => 0,
            Key::Accept(number) => pack(1, number as u32, 0),
            Key::Wake => pack(2, 0, 0),
            Key::Receive(id) => pack(3, id.index, id.generation),
            Key::Send(id) => pack(4, id.index, id.generation),
            Key::Shutdown(id) => pack(5, id.index, id.generation),
        }
    }

    fn decode(data: u64) -> Key {
        let index = (data >> 32) as u32 & ((1 << 28) - 1);
        let id = SlotId {
            index,
            generation: data as u32,
        };
        match data >> 60 {
            1 => Key::Accept(index as usize),
            2 => Key::Wake,
            3 => Key::Receive(id),
            4 => Key::Send(id),
            5 => Key::Shutdown(id),
            _ => Key::Ignored,
        }
    }
}

/// A completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completion {
    pub(super) key: Key,
    /// A count, a descriptor, or an error number below zero.
    pub(super) result: i32,
    flags: u32,
}

impl Completion {
    /// Whether the operation goes on.
    pub(super) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The buffer that was filled.
    pub(super) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// Whether that buffer will be filled further (6.12).
    pub(super) fn buffer_more(&self) -> bool {
        cqueue::buffer_more(self.flags)
    }
}

/// How to reach a socket: an ordinary descriptor, or an index into the ring's own table (6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket(pub(super) u32);

/// Opens a ring: one issuer, completions run when asked for (6.1).
///
/// Where locked memory is short (`ENOMEM`) it asks for less, and waits a little.
pub(super) fn open(asked: u32) -> io::Result<IoUring> {
    let started = Instant::now();
    let mut entries = asked;
    loop {
        match build(entries) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                if started.elapsed() > MEMORY_PATIENCE {
                    return Err(error);
                }
                entries = (entries / 2).max(ENTRIES_MIN.min(asked));
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(ring) => {
                if entries < asked {
                    warn!(
                        "locked memory is short: a submission queue of {entries} entries, not {asked}"
                    );
                }
                return Ok(ring);
            }
            Err(error) => return Err(error),
        }
    }
}

fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all();
    builder.setup_cqsize(entries * 4);
    match builder.clone().setup_no_sqarray().build(entries) {
        // NO_SQARRAY came with 6.6; the others are needed.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => builder.build(entries),
        built => built,
    }
}

/// The queues of an open ring.
pub(super) struct Ring<'a> {
    submitter: Submitter<'a>,
    submission: SubmissionQueue<'a>,
    completion: CompletionQueue<'a>,
    /// Whether accepted sockets get an index in the ring's table instead of a descriptor.
    direct: bool,
    /// Why a full queue could not be emptied: an operation has been lost.
    failed: Option<io::Error>,
}

impl<'a> Ring<'a> {
    pub(super) fn new(ring: &'a mut IoUring, direct: bool) -> Self {
        let (mut submitter, submission, completion) = ring.split();
        // Spares the lookup of the ring's descriptor (5.18); without it everything works as well.
        let _ = submitter.register_ring_fd();
        Ring {
            submitter,
            submission,
            completion,
            direct,
            failed: None,
        }
    }

    /// Submits what is queued and waits for a completion, or for `patience` to pass.
    pub(super) fn enter(&mut self, patience: Option<Duration>) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.submission.sync();
        let entered = match patience {
            Some(patience) => {
                let patience = Timespec::from(patience);
                self.submitter
                    .submit_with_args(1, &SubmitArgs::new().timespec(&patience))
            }
            None => self.submitter.submit_and_wait(1),
        };
        self.submission.sync();
        match entered {
            Ok(_) => Ok(()),
            // Time has passed, a signal came, or completions must be taken over first.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes over what has completed.
    pub(super) fn take_completions(&mut self, into: &mut Vec<Completion>) {
        self.completion.sync();
        into.extend(
            self.completion
                .by_ref()
                .take(COMPLETIONS_MAX)
                .map(|entry| Completion {
                    key: Key::decode(entry.user_data()),
                    result: entry.result(),
                    flags: entry.flags(),
                }),
        );
        self.completion.sync();
    }

    /// Accepts on `listener` until cancelled or out of descriptors.
    pub(super) fn accept(&mut self, number: usize, listener: &TcpListener) {
        let entry = opcode::AcceptMulti::new(Fd(listener.as_raw_fd()))
            .allocate_file_index(self.direct)
            .flags(self.accept_flags())
            .build();
        self.push(entry, Key::Accept(number));
    }

    /// Accepts one connection on `listener`.
    pub(super) fn accept_one(&mut self, number: usize, listener: &TcpListener) {
        let null = std::ptr::null_mut();
        let place = self.direct.then(DestinationSlot::auto_target);
        let entry = opcode::Accept::new(Fd(listener.as_raw_fd()), null, null.cast())
            .file_index(place)
            .flags(self.accept_flags())
            .build();
        self.push(entry, Key::Accept(number));
    }

    /// An index cannot be inherited, so it is not to be closed on exec either.
    fn accept_flags(&self) -> i32 {
        if self.direct { 0 } else { libc::SOCK_CLOEXEC }
    }

    /// Stops accepting on a listener. Connections may still come until the final completion.
    pub(super) fn cancel_accept(&mut self, number: usize) {
        self.cancel(CancelBuilder::user_data(Key::Accept(number).encode()));
    }

    /// Reports when `fd` becomes readable, each time.
    pub(super) fn watch(&mut self, fd: impl AsFd) {
        let fd = Fd(fd.as_fd().as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32)
            .multi(true)
            .build();
        self.push(entry, Key::Wake);
    }

    /// Receives into provided buffers until cancelled, out of buffers, or the peer's FIN.
    pub(super) fn receive(&mut self, id: SlotId, socket: Socket) {
        let entry = opcode::RecvMulti::new(self.fd(socket), GROUP).build();
        self.push_socket(entry, Key::Receive(id));
    }

    /// Stops receiving. Bytes may still come until the final completion.
    pub(super) fn cancel_receive(&mut self, id: SlotId) {
        self.cancel(CancelBuilder::user_data(Key::Receive(id).encode()));
    }

    /// Sends `bytes`. `wait`: until the peer's window opens, otherwise -EAGAIN comes at once.
    ///
    /// # Safety
    /// `bytes` must stay as they are, and where they are, until the completion.
    pub(super) unsafe fn send(
        &mut self,
        id: SlotId,
        socket: Socket,
        bytes: &[u8],
        wait: bool,
        more: bool,
    ) {
        let mut flags = libc::MSG_NOSIGNAL;
        if !wait {
            flags |= libc::MSG_DONTWAIT;
        }
        if more {
            flags |= libc::MSG_MORE;
        }
        let entry = opcode::Send::new(self.fd(socket), bytes.as_ptr(), bytes.len() as u32)
            .flags(flags)
            .build();
        self.push_socket(entry, Key::Send(id));
    }

    /// Sends FIN.
    pub(super) fn shut_down(&mut self, id: SlotId, socket: Socket) {
        let entry = opcode::Shutdown::new(self.fd(socket), libc::SHUT_WR).build();
        self.push_socket(entry, Key::Shutdown(id));
    }

    /// Cancels all that is under way for a socket.
    pub(super) fn cancel_all(&mut self, socket: Socket) {
        let which = match self.direct {
            true => CancelBuilder::fd(Fixed(socket.0)),
            false => CancelBuilder::fd(Fd(socket.0 as RawFd)),
        };
        self.cancel(which.all());
    }

    /// Closes a socket; with `reset` the peer gets RST. Nothing may be under way for it.
    pub(super) fn close(&mut self, socket: Socket, reset: bool) {
        if reset {
            static NO_LINGER: libc::linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            let entry = opcode::SetSockOpt::new(
                self.fd(socket),
                libc::SOL_SOCKET as u32,
                libc::SO_LINGER as u32,
                (&raw const NO_LINGER).cast(),
                size_of::<libc::linger>() as u32,
            )
            .build();
            // Where the kernel has no such command (before 6.7) the close goes on all the same.
            let flags = Flags::IO_HARDLINK | Flags::SKIP_SUCCESS;
            self.push_socket(entry.flags(flags), Key::Ignored);
        }
        let entry = match self.direct {
            true => opcode::Close::new(Fixed(socket.0)).build(),
            false => opcode::Close::new(Fd(socket.0 as RawFd)).build(),
        };
        self.push(entry.flags(Flags::SKIP_SUCCESS), Key::Ignored);
    }

    fn cancel(&mut self, which: CancelBuilder) {
        let entry = opcode::AsyncCancel2::new(which).build();
        self.push(entry.flags(Flags::SKIP_SUCCESS), Key::Ignored);
    }

    /// The number of a socket; [`Ring::push_socket`] says of which kind it is.
    fn fd(&self, socket: Socket) -> Fd {
        Fd(socket.0 as RawFd)
    }

    fn push_socket(&mut self, entry: Entry, key: Key) {
        let entry = if self.direct {
            entry.flags(Flags::FIXED_FILE)
        } else {
            entry
        };
        self.push(entry, key);
    }

    fn push(&mut self, entry: Entry, key: Key) {
        let entry = entry.user_data(key.encode());
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
            Key::Shutdown(other),
            Key::Send(other),
        ] {
            assert_eq!(Key::decode(key.encode()), key);
        }
    }
}
