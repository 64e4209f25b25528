//! Raw io_uring: multishot receives from a provided buffer ring, one send in flight per
//! connection, one system call per batch.
//!
//! What its unsafe code relies on: `Outbox` neither moves nor changes what
//! it has lent until it is told that the send is over, and a [`Ring`] that is dropped first waits
//! until the kernel has let go of every address.
#![allow(unsafe_code)]

mod buffers;

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use io_uring::{
    CompletionQueue, EnterFlags, IoUring, Parameters, SubmissionQueue, Submitter, cqueue, opcode,
    squeue, types,
};

use self::buffers::Buffers;
use crate::control::Bell;
use crate::fault::Fault;
use crate::output::tell;
use crate::pacer::Patience;
use crate::worker::{Order, Worker};

/// Submission queue entries; a fuller batch is submitted in parts.
const SUBMISSIONS: u32 = 256;

/// Completion queue entries for a few connections; more get four each.
const COMPLETIONS_MIN: u32 = 1024;

/// The kernel's limit (IORING_MAX_CQ_ENTRIES).
const COMPLETIONS_MAX: u32 = 65_536;

/// Most bytes of one send, whose result is a signed number of 32 bits.
const SEND_BYTES_MAX: usize = 1 << 30;

const KIND_RECEIVE: u64 = 0;
const KIND_SEND: u64 = 1;
const KIND_WAKE: u64 = 2;

/// ```text
/// user_data: | index of the connection (62 bits) | kind (2 bits) |
/// ```
fn key(kind: u64, index: usize) -> u64 {
    (index as u64) << 2 | kind
}

fn open(connections: usize) -> io::Result<IoUring> {
    let completions = (connections as u32)
        .saturating_mul(4)
        .clamp(COMPLETIONS_MIN, COMPLETIONS_MAX);
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(completions)
        .build(SUBMISSIONS)
}

/// How this kernel is entered. A wait for a socket is no wait for a disk, which it counts as by default:
/// idle threads would show as iowait and as I/O pressure. Linux 6.15 lets a wait say so.
fn enter_flags(parameters: &Parameters) -> EnterFlags {
    let mut flags = EnterFlags::GETEVENTS;
    flags.set(EnterFlags::NO_IOWAIT, parameters.is_feature_no_iowait());
    flags
}

/// Whether rings and buffer rings work here.
pub(super) fn probe() -> io::Result<()> {
    let ring = open(1)?;
    Buffers::register(&ring.submitter()).map(drop)
}

/// See [`super::Engine::drive`].
pub(super) fn drive(worker: &mut Worker, sockets: &[TcpStream], wake: &Bell) -> Result<(), Fault> {
    let setup = |error| Fault::engine("setting up io_uring", error);
    let mut ring = open(sockets.len()).map_err(setup)?;
    let buffers = Buffers::register(&ring.submitter()).map_err(setup)?;
    let fds: Vec<i32> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&fds).map_err(setup)?;
    let enter_flags = enter_flags(ring.params());
    let (mut submitter, submissions, completions) = ring.split();
    // Saves a table look-up per system call; kernels before 5.18 do without.
    let _ = submitter.register_ring_fd();
    Ring {
        submitter,
        submissions,
        completions,
        enter_flags,
        buffers,
        sockets,
        wake,
        outstanding: 0,
        touched: Vec::with_capacity(sockets.len()),
        disarmed: Vec::new(),
    }
    .run(worker)
}

struct Ring<'a> {
    submitter: Submitter<'a>,
    submissions: SubmissionQueue<'a>,
    completions: CompletionQueue<'a>,
    enter_flags: EnterFlags,
    buffers: Buffers,
    sockets: &'a [TcpStream],
    wake: &'a Bell,
    /// Operations whose last completion has not come.
    outstanding: usize,
    /// Connections that may have something to send.
    touched: Vec<usize>,
    /// Connections whose multishot receive has ended and is to be armed again.
    disarmed: Vec<usize>,
}

impl Ring<'_> {
    fn run(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        self.push(&self.wake_entry())?;
        self.disarmed.extend(0..self.sockets.len());
        worker.start();
        self.touched.extend(0..self.sockets.len());
        loop {
            self.arm(worker)?;
            self.flush(worker)?;
            worker.publish();
            let patience = worker.patience();
            self.wait(patience)?;
            let completions = self.reap(worker)?;
            worker.waited(completions > 0);
            match worker.look() {
                Order::Continue => {}
                Order::FlushAll => self.touched.extend(0..self.sockets.len()),
                Order::Leave => {
                    worker.publish();
                    return Ok(());
                }
            }
        }
    }

    /// Handles every completion at hand, and says how many there were.
    fn reap(&mut self, worker: &mut Worker) -> Result<usize, Fault> {
        self.completions.sync();
        let completions = self.completions.len();
        if completions == 0 {
            return Ok(0);
        }
        worker.tick();
        while let Some(completion) = self.completions.next() {
            let index = (completion.user_data() >> 2) as usize;
            if !cqueue::more(completion.flags()) {
                self.outstanding -= 1;
            }
            match completion.user_data() & 3 {
                KIND_RECEIVE => self.received(worker, index, &completion)?,
                KIND_SEND => self.sent(worker, index, completion.result())?,
                _ => {
                    self.wake.hush();
                    self.push(&self.wake_entry())?;
                }
            }
        }
        self.buffers.publish();
        Ok(completions)
    }

    fn received(
        &mut self,
        worker: &mut Worker,
        index: usize,
        completion: &cqueue::Entry,
    ) -> Result<(), Fault> {
        let flags = completion.flags();
        let verdict = match (completion.result(), cqueue::buffer_select(flags)) {
            (bytes @ 1.., Some(id)) => {
                let bytes = bytes as usize;
                let verdict = worker.receive(index, self.buffers.bytes(id, bytes));
                self.buffers.consumed(id, bytes, cqueue::buffer_more(flags));
                self.touched.push(index);
                verdict
            }
            (0, _) => return worker.end_of_stream(index),
            // Every buffer was taken at that moment; they are back after this batch.
            (error, _) if error == -libc::ENOBUFS => Ok(()),
            (error, _) => {
                let error = io::Error::from_raw_os_error(-error);
                return worker.io_error(index, "receiving", error);
            }
        };
        if !cqueue::more(flags) {
            self.disarmed.push(index);
        }
        verdict
    }

    fn sent(&mut self, worker: &mut Worker, index: usize, result: i32) -> Result<(), Fault> {
        worker.sent(index, result.max(0) as usize);
        match -result {
            // What the server said before it closed, if anything, tells more than EPIPE: its
            // receive completes too, and judges.
            libc::EPIPE | libc::ECONNRESET => Ok(()),
            error @ 1.. => worker.io_error(index, "sending", io::Error::from_raw_os_error(error)),
            _ => {
                self.touched.push(index);
                Ok(())
            }
        }
    }

    fn arm(&mut self, worker: &Worker) -> Result<(), Fault> {
        while let Some(index) = self.disarmed.pop() {
            if !worker.is_closed(index) {
                let entry = opcode::RecvMulti::new(types::Fixed(index as u32), buffers::GROUP)
                    .build()
                    .user_data(key(KIND_RECEIVE, index));
                self.push(&entry)?;
            }
        }
        Ok(())
    }

    /// Submits the next send of every connection touched since the last call.
    fn flush(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        worker.tick();
        worker.pace(&mut self.touched);
        for position in 0..self.touched.len() {
            let index = self.touched[position];
            if worker.is_closed(index) {
                continue;
            }
            let Some(bytes) = worker.outgoing(index) else {
                continue;
            };
            // MSG_WAITALL lets the kernel go on after a short send by itself.
            let entry = opcode::Send::new(
                types::Fixed(index as u32),
                bytes.as_ptr(),
                bytes.len().min(SEND_BYTES_MAX) as u32,
            )
            .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
            .build()
            .user_data(key(KIND_SEND, index));
            self.push(&entry)?;
        }
        self.touched.clear();
        Ok(())
    }

    fn wake_entry(&self) -> squeue::Entry {
        opcode::PollAdd::new(
            types::Fd(self.wake.as_fd().as_raw_fd()),
            libc::POLLIN as u32,
        )
        .build()
        .user_data(key(KIND_WAKE, 0))
    }

    fn push(&mut self, entry: &squeue::Entry) -> Result<(), Fault> {
        // SAFETY: a receive names no memory but the buffer ring, a poll none; the bytes of a
        // send are lent by an outbox, which keeps them in place until `Worker::sent`. Both
        // outlive the operation, since `drop` waits for its last completion.
        while unsafe { self.submissions.push(entry) }.is_err() {
            self.submit(0)?;
        }
        self.outstanding += 1;
        Ok(())
    }

    /// Submits what is queued and waits for a completion as `patience` says. With DEFER_TASKRUN they are
    /// only made while this thread asks for them: hence for one even with no time.
    fn wait(&mut self, patience: Patience) -> Result<(), Fault> {
        match patience {
            Patience::Endless => self.submit(1),
            Patience::Poll => self.submit(0),
            Patience::Until(patience) => {
                let timeout = types::Timespec::from(patience);
                let arguments = types::SubmitArgs::new().timespec(&timeout);
                self.enter(1, Some(&arguments))
            }
        }
    }

    fn submit(&mut self, want: u32) -> Result<(), Fault> {
        self.enter(want, None)
    }

    fn enter(
        &mut self,
        want: u32,
        arguments: Option<&types::SubmitArgs<'_, '_>>,
    ) -> Result<(), Fault> {
        self.submissions.sync();
        let to_submit = self.submissions.len() as u32;
        let mut flags = self.enter_flags;
        flags.set(EnterFlags::EXT_ARG, arguments.is_some());
        // SAFETY: the arguments, which the flag announces, outlive the call; what is submitted was judged
        // in `push`.
        let result = unsafe {
            self.submitter
                .enter(to_submit, want, flags.bits(), arguments)
        };
        self.submissions.sync();
        Ring::judge(result)
    }

    fn judge(result: io::Result<usize>) -> Result<(), Fault> {
        match result {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Interrupted, out of time, or completions must be taken first: they are, next.
                Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ETIME) => Ok(()),
                _ => Err(Fault::engine("submitting to io_uring", error)),
            },
        }
    }
}

impl Drop for Ring<'_> {
    /// Ends every operation and waits for its last completion, so that the kernel holds no
    /// address of ours afterwards. Completions are not judged any more.
    fn drop(&mut self) {
        for socket in self.sockets {
            // Already disconnected is as good.
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.wake.ring();
        loop {
            self.completions.sync();
            for completion in &mut self.completions {
                let flags = completion.flags();
                if !cqueue::more(flags) {
                    self.outstanding -= 1;
                }
                if let Some(id) = cqueue::buffer_select(flags) {
                    let bytes = completion.result().max(0) as usize;
                    self.buffers.consumed(id, bytes, cqueue::buffer_more(flags));
                }
            }
            self.buffers.publish();
            if self.outstanding == 0 {
                return;
            }
            if let Err(fault) = self.submit(1) {
                // The kernel still has addresses that would be freed next.
                tell(format_args!("ringload: {fault}"));
                std::process::abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_no_iowait_where_the_kernel_can_tell_them_apart() {
        let ring = match open(1) {
            Ok(ring) => ring,
            Err(error) => return eprintln!("skipped: {error}"),
        };
        let flags = enter_flags(ring.params());
        let can = ring.params().is_feature_no_iowait();
        assert_eq!(flags.contains(EnterFlags::NO_IOWAIT), can);
        // SAFETY: nothing is submitted and there is no argument, so no pointer.
        let entered = unsafe { ring.submitter().enter::<()>(0, 0, flags.bits(), None) };
        assert_eq!(entered.unwrap(), 0);
    }
}
