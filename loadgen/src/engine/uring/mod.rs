//! Raw io_uring: multishot receives from a provided buffer ring, one send in flight per
//! connection, one system call per batch.
//!
//! What its unsafe code relies on: `Outbox` neither moves nor changes what
//! it has lent until it is told that the send is over, and a [`Ring`] that is dropped first waits
//! until the kernel has let go of every address.
#![allow(unsafe_code)]

mod buffers;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use io_uring::{
    CompletionQueue, EnterFlags, IoUring, Parameters, SubmissionQueue, Submitter, cqueue, opcode,
    squeue, types,
};

use self::buffers::Buffers;
use super::epoll::Driver;
use super::sockets::Sockets;
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

/// Longest wait while connections are being opened again: what goes on with those is not waited for.
const OPENING_LOOK: Duration = Duration::from_millis(5);

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
pub(super) fn drive(driver: &mut Driver<'_>) -> Result<(), Fault> {
    let (worker, sockets, wake) = driver.parts();
    let count = sockets.all.len();
    let mut ring = open(count).map_err(setup_fault)?;
    let buffers = Buffers::register(&ring.submitter()).map_err(setup_fault)?;
    // -1 keeps a place free.
    let fds: Vec<i32> = (0..count).map(|index| sockets.fd(index)).collect();
    ring.submitter().register_files(&fds).map_err(setup_fault)?;
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
        touched: Vec::with_capacity(count),
        disarmed: Vec::new(),
        lost: Vec::new(),
    }
    .run(worker)
}

fn setup_fault(error: io::Error) -> Fault {
    Fault::engine("setting up io_uring", error)
}

struct Ring<'a, 's> {
    submitter: Submitter<'a>,
    submissions: SubmissionQueue<'a>,
    completions: CompletionQueue<'a>,
    enter_flags: EnterFlags,
    buffers: Buffers,
    sockets: &'a mut Sockets<'s>,
    wake: &'a Bell,
    /// Operations whose last completion has not come.
    outstanding: usize,
    /// Connections that may have something to send.
    touched: Vec<usize>,
    /// Connections whose multishot receive has ended and is to be armed again.
    disarmed: Vec<usize>,
    /// Connections that have ended before their time and receive no more, by index and number.
    lost: Vec<(usize, usize)>,
}

impl Ring<'_, '_> {
    /// Runs the load, and sends what is due before the sockets are closed.
    fn run(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        let result = self.run_load(worker);
        worker.resign(result.as_ref().err());
        self.touched.extend(0..self.sockets.all.len());
        result.and(self.flush(worker)).and(self.submit(0))
    }

    fn run_load(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        self.push(&self.wake_entry())?;
        self.disarmed.extend(0..self.sockets.all.len());
        worker.start();
        self.touched.extend(0..self.sockets.all.len());
        loop {
            self.open(worker)?;
            self.arm(worker)?;
            worker.tick();
            worker.pace(&mut self.touched);
            self.flush(worker)?;
            worker.publish();
            let patience = worker.patience();
            self.wait(patience)?;
            let completions = self.reap(worker)?;
            worker.waited(completions > 0);
            match worker.look() {
                Order::Continue => {}
                Order::FlushAll => self.touched.extend(0..self.sockets.all.len()),
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
            (0, _) => worker.end_of_stream(index),
            // Every buffer was taken at that moment; they are back after this batch.
            (error, _) if error == -libc::ENOBUFS => Ok(()),
            (error, _) => {
                let error = io::Error::from_raw_os_error(-error);
                worker.io_error(index, "receiving", error)
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

    /// Lets go of connections that have ended before their time, once the kernel has, and takes in those that stand.
    fn open(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        while let Some(lost) = worker.take_lost() {
            // A Close may be due. Behind it, the receive ends too.
            self.touched.push(lost.0);
            self.flush(worker)?;
            self.submit(0)?;
            if let Some(socket) = &self.sockets.all[lost.0] {
                // Already disconnected is as good.
                let _ = socket.shutdown(Shutdown::Both);
            }
            self.lost.push(lost);
        }
        let Ring { lost, sockets, .. } = self;
        lost.retain(|&(index, ordinal)| {
            let is_held = worker.is_sending(index) || sockets.all[index].is_some();
            if !is_held {
                sockets.opener.again(ordinal, false);
            }
            is_held
        });
        for index in self.sockets.open(worker)? {
            let fd = self.sockets.fd(index);
            let updated = self.submitter.register_files_update(index as u32, &[fd]);
            updated.map_err(setup_fault)?;
            self.disarmed.push(index);
            self.touched.push(index);
        }
        Ok(())
    }

    fn arm(&mut self, worker: &Worker) -> Result<(), Fault> {
        while let Some(index) = self.disarmed.pop() {
            if worker.is_away(index) {
                // Its receive was the last to hold it, but for a send.
                self.sockets.all[index] = None;
            } else if !worker.is_ended(index) {
                let fixed = types::Fixed(index as u32);
                let entry = opcode::RecvMulti::new(fixed, buffers::GROUP).build();
                self.push(&entry.user_data(key(KIND_RECEIVE, index)))?;
            }
        }
        Ok(())
    }

    /// Submits the next send of every connection touched since the last call.
    fn flush(&mut self, worker: &mut Worker) -> Result<(), Fault> {
        for position in 0..self.touched.len() {
            let index = self.touched[position];
            let Some(bytes) = worker.outgoing(index) else {
                continue;
            };
            let fixed = types::Fixed(index as u32);
            let length = bytes.len().min(SEND_BYTES_MAX) as u32;
            // MSG_WAITALL lets the kernel go on after a short send by itself.
            let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
            let send = opcode::Send::new(fixed, bytes.as_ptr(), length).flags(flags);
            self.push(&send.build().user_data(key(KIND_SEND, index)))?;
        }
        self.touched.clear();
        Ok(())
    }

    fn wake_entry(&self) -> squeue::Entry {
        let fd = types::Fd(self.wake.as_fd().as_raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).build();
        entry.user_data(key(KIND_WAKE, 0))
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
        let opening = self.sockets.opener.patience();
        let opening = opening.map(|patience| patience.min(OPENING_LOOK));
        let until = match patience {
            Patience::Poll => return self.submit(0),
            Patience::Endless => opening,
            Patience::Until(patience) => Some(opening.map_or(patience, |it| it.min(patience))),
        };
        let timeout = until.map(types::Timespec::from);
        let arguments = types::SubmitArgs::new();
        self.enter(
            1,
            timeout.as_ref().map(|timeout| arguments.timespec(timeout)),
        )
    }

    fn submit(&mut self, want: u32) -> Result<(), Fault> {
        self.enter(want, None)
    }

    fn enter(
        &mut self,
        want: u32,
        arguments: Option<types::SubmitArgs<'_, '_>>,
    ) -> Result<(), Fault> {
        self.submissions.sync();
        let to_submit = self.submissions.len() as u32;
        let mut flags = self.enter_flags;
        flags.set(EnterFlags::EXT_ARG, arguments.is_some());
        // SAFETY: the arguments, which the flag announces, outlive the call; what is submitted was judged
        // in `push`.
        let entered = unsafe {
            let arguments = arguments.as_ref();
            self.submitter
                .enter(to_submit, want, flags.bits(), arguments)
        };
        self.submissions.sync();
        let Err(error) = entered else {
            return Ok(());
        };
        match error.raw_os_error() {
            // Interrupted, out of time, or completions must be taken first: they are, next.
            Some(libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ETIME) => Ok(()),
            _ => Err(Fault::engine("submitting to io_uring", error)),
        }
    }
}

impl Drop for Ring<'_, '_> {
    /// Ends every operation and waits for its last completion, so that the kernel holds no
    /// address of ours afterwards. Completions are not judged any more.
    fn drop(&mut self) {
        for socket in self.sockets.all.iter().flatten() {
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
