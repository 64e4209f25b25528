//! A provided buffer ring: memory the kernel picks from when bytes arrive.
//!
//! The life of a buffer: offered to the kernel, chosen by it for a receive, read here as soon
//! as that receive's completion is seen, offered again. Nothing keeps a slice beyond that, so a
//! ring of 2 MiB serves any number of connections. With an incremental ring (kernel 6.12) a
//! buffer is filled by many receives, one after the other, before it comes back; small messages
//! then lie side by side in cache.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// Buffer group of the ring; the thread has one.
pub(super) const GROUP: u16 = 0;

/// `IOU_PBUF_RING_INC`: receives fill a buffer step by step.
const INCREMENTAL: u16 = 2;

/// Shape of an incremental ring: 2 MiB.
const INCREMENTAL_SHAPE: (u16, u32) = (8, 256 * 1024);

/// Shape of a classic ring, where each receive takes a whole buffer: 2 MiB.
const CLASSIC_SHAPE: (u16, u32) = (64, 32 * 1024);

const PAGE_BYTES: usize = 4096;

/// Memory that begins where a page does.
#[derive(Clone)]
#[repr(align(4096))]
struct Page {
    _bytes: [u8; PAGE_BYTES],
}

/// As many pages as hold so many bytes. They stay in their place for as long as they live.
fn pages(bytes: usize) -> Vec<Page> {
    let _bytes = [0; PAGE_BYTES];
    vec![Page { _bytes }; bytes.div_ceil(PAGE_BYTES)]
}

/// The ring and its buffers. Must outlive every receive that may pick from it.
pub(super) struct Buffers {
    entries: Vec<Page>,
    memory: Vec<Page>,
    count: u16,
    buffer_bytes: u32,
    tail: u16,
    /// Where the next receive into each buffer lands.
    filled: Vec<u32>,
}

impl Buffers {
    /// Allocates a ring and registers it: incremental where the kernel has it, else classic.
    pub(super) fn register(submitter: &Submitter<'_>) -> io::Result<Buffers> {
        Buffers::register_as(submitter, INCREMENTAL_SHAPE, INCREMENTAL).or_else(|error| match error
            .raw_os_error()
        {
            Some(libc::EINVAL) => Buffers::register_as(submitter, CLASSIC_SHAPE, 0),
            _ => Err(error),
        })
    }

    fn register_as(
        submitter: &Submitter<'_>,
        (count, buffer_bytes): (u16, u32),
        flags: u16,
    ) -> io::Result<Buffers> {
        let mut buffers = Buffers {
            entries: pages(usize::from(count) * size_of::<BufRingEntry>()),
            memory: pages(usize::from(count) * buffer_bytes as usize),
            count,
            buffer_bytes,
            tail: 0,
            filled: vec![0; usize::from(count)],
        };
        let address = buffers.entries.as_mut_ptr() as u64;
        // SAFETY: the address is page-aligned memory for `count` entries, which lives as long as
        // `buffers`, and that outlives the ring's receives (see `super::Ring`).
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, flags)? };
        for id in 0..count {
            buffers.offer(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The bytes a receive put into buffer `id`.
    ///
    /// `id` and `bytes` must come from one completion, whose buffer has not been consumed yet.
    pub(super) fn bytes(&self, id: u16, bytes: usize) -> &[u8] {
        let at = self.filled[usize::from(id)] as usize;
        assert!(
            at + bytes <= self.buffer_bytes as usize,
            "the kernel keeps within a buffer"
        );
        let offset = usize::from(id) * self.buffer_bytes as usize + at;
        // SAFETY: within `memory`, by the assertion and since `filled` has `count` elements; the
        // memory was zeroed, so it is initialised; the kernel has written this part and writes
        // it again only after the buffer has been offered again, which takes `&mut self`.
        unsafe {
            let start = self.memory.as_ptr().cast::<u8>().add(offset);
            std::slice::from_raw_parts(start, bytes)
        }
    }

    /// The bytes of a completion have been read. `more` is its IORING_CQE_F_BUF_MORE: the
    /// kernel goes on filling the same buffer.
    pub(super) fn consumed(&mut self, id: u16, bytes: usize, more: bool) {
        if more {
            self.filled[usize::from(id)] += bytes as u32;
        } else {
            self.filled[usize::from(id)] = 0;
            self.offer(id);
        }
    }

    /// Puts a whole buffer behind the ring's tail; the kernel sees it after `publish`.
    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        let offset = usize::from(id) * self.buffer_bytes as usize;
        // SAFETY: `slot` is below `count`, a power of two, so within `entries`; the kernel reads
        // an entry only once the tail has passed it. The setters leave alone the field that
        // overlays the tail.
        unsafe {
            let entry = &mut *self.entries.as_mut_ptr().cast::<BufRingEntry>().add(slot);
            entry.set_addr(self.memory.as_mut_ptr().cast::<u8>().add(offset) as u64);
            entry.set_len(self.buffer_bytes);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see all buffers offered so far.
    pub(super) fn publish(&mut self) {
        // SAFETY: the first entry's last field is the ring's tail, which the kernel reads
        // concurrently: hence atomic. It is aligned to two bytes, as the entry is.
        let tail = unsafe {
            let base = self.entries.as_mut_ptr().cast::<BufRingEntry>();
            AtomicU16::from_ptr(BufRingEntry::tail(base).cast_mut())
        };
        tail.store(self.tail, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use io_uring::{IoUring, cqueue, opcode, types};

    use super::*;

    /// Receives numbered messages of many sizes through a ring of the given shape, until its
    /// buffers have gone round many times, and checks each byte.
    fn stream_through(shape: (u16, u32), flags: u16) -> io::Result<()> {
        let mut ring = IoUring::new(8)?;
        let mut buffers = Buffers::register_as(&ring.submitter(), shape, flags)?;
        let (receiver, mut sender) = UnixStream::pair()?;
        let receive = opcode::RecvMulti::new(types::Fd(receiver.as_raw_fd()), GROUP).build();
        let arm = |ring: &mut IoUring| {
            // SAFETY: the receive names no memory but the buffer ring, which lives until the last
            // completion has come, below.
            unsafe { ring.submission().push(&receive) }.expect("an empty queue");
        };
        let mut armed = false;
        for message in 0..2000u32 {
            let length = 1 + message as usize * 37 % 3000;
            let sent: Vec<u8> = (0..length as u32).map(|at| (message + at) as u8).collect();
            sender.write_all(&sent)?;
            let mut received = Vec::new();
            while received.len() < length {
                if !armed {
                    arm(&mut ring);
                }
                ring.submit_and_wait(1)?;
                let completion = ring.completion().next().expect("one was awaited");
                let flags = completion.flags();
                armed = cqueue::more(flags);
                if let (bytes @ 1.., Some(id)) = (completion.result(), cqueue::buffer_select(flags))
                {
                    let bytes = bytes as usize;
                    received.extend_from_slice(buffers.bytes(id, bytes));
                    buffers.consumed(id, bytes, cqueue::buffer_more(flags));
                    buffers.publish();
                }
            }
            assert!(received == sent, "message {message}");
        }
        drop(sender);
        while armed {
            ring.submit_and_wait(1)?;
            armed = ring
                .completion()
                .all(|completion| cqueue::more(completion.flags()));
        }
        Ok(())
    }

    #[test]
    fn classic_and_incremental_rings_deliver_every_byte() {
        for (shape, flags) in [((4, 4096), 0), ((4, 4096), INCREMENTAL), (CLASSIC_SHAPE, 0)] {
            match stream_through(shape, flags) {
                Ok(()) => {}
                // An old kernel, or io_uring is forbidden here: nothing to test.
                Err(error) => eprintln!("skipped: shape {shape:?}, flags {flags}: {error}"),
            }
        }
    }
}
