//! The receive buffers of a simulated ring: each is filled, lent, and provided again, exactly so often.

use std::collections::VecDeque;
use std::ops::Range;

use ringback::shard::Lease;

use crate::sim::scenario;

/// What lies in a buffer that was provided again: whoever still sends from it sends this.
const POISON: u8 = 0xa5;

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    /// Up to where it is filled.
    filled: usize,
    /// The kernel may fill it.
    provided: bool,
}

/// A buffer ring.
#[derive(Debug)]
pub(crate) struct Memory {
    layout: scenario::Buffers,
    buffers: Vec<Buffer>,
    queue: VecDeque<u16>,
}

/// A part of a buffer that has just been filled.
#[derive(Clone, Debug)]
pub(crate) struct Filling {
    pub(crate) buffer: u16,
    pub(crate) range: Range<u32>,
    /// The buffer will be filled further.
    pub(crate) more: bool,
}

impl Filling {
    /// Which bytes of the buffer.
    pub(crate) fn bytes(&self) -> Range<usize> {
        self.range.start as usize..self.range.end as usize
    }
}

impl Memory {
    pub(crate) fn new(layout: scenario::Buffers) -> Self {
        let mut memory = Memory {
            layout,
            buffers: Vec::new(),
            queue: VecDeque::new(),
        };
        (0..layout.count).for_each(|_| memory.push());
        memory
    }

    fn push(&mut self) {
        self.queue.push_back(self.buffers.len() as u16);
        self.buffers.push(Buffer {
            bytes: vec![POISON; self.layout.bytes],
            filled: 0,
            provided: true,
        });
    }

    /// Whether there is one to fill.
    pub(crate) fn is_available(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether all of them are with the kernel, and each once.
    pub(crate) fn is_whole(&self) -> bool {
        let provided = self.buffers.iter().all(|buffer| buffer.provided);
        provided && self.queue.len() == self.buffers.len()
    }

    /// Fills the next buffer by `read`, which says how many bytes it gave.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> usize) -> Filling {
        let number = self.queue[0];
        let buffer = &mut self.buffers[usize::from(number)];
        let start = buffer.filled;
        buffer.filled += read(&mut buffer.bytes[start..]);
        let more = self.layout.incremental && buffer.filled < buffer.bytes.len();
        if !more {
            buffer.provided = false;
            self.queue.pop_front();
        }
        Filling {
            buffer: number,
            range: start as u32..buffer.filled as u32,
            more,
        }
    }

    /// Takes a buffer back.
    pub(crate) fn provide(&mut self, number: u16) -> Result<(), String> {
        let buffer = &mut self.buffers[usize::from(number)];
        if buffer.provided {
            return Err(format!("buffer {number} is provided twice"));
        }
        buffer.provided = true;
        buffer.filled = 0;
        buffer.bytes.fill(POISON);
        self.queue.push_back(number);
        Ok(())
    }

    /// The bytes that a claim names. They must be such as have been filled.
    pub(crate) fn claimed(&self, lease: &Lease) -> Option<&[u8]> {
        let buffer = self.buffers.get(lease.buffer() as usize)?;
        buffer.bytes[..buffer.filled].get(lease.bytes())
    }

    pub(crate) fn claimed_mut(&mut self, lease: &Lease) -> Option<&mut [u8]> {
        let buffer = self.buffers.get_mut(lease.buffer() as usize)?;
        buffer.bytes[..buffer.filled].get_mut(lease.bytes())
    }

    /// The size of each.
    pub(crate) fn buffer_bytes(&self) -> u32 {
        self.layout.bytes as u32
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u16 {
        self.buffers.len() as u16
    }
}
