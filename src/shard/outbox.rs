//! What a connection has still to send, in order.
//!
//! A connection's queue is two indices into the shard's entries, so an idle one costs eight bytes and
//! nothing is allocated where everything goes out at once.

use std::ops::Range;

use crate::memory::{Slab, SlabPool};

const NONE: u32 = u32::MAX;

/// A claim on a part of an engine's receive buffer. The buffer may not be reused before the claim has
/// been handed back to the engine.
///
/// Only an engine that counts its claims makes one, and it cannot be copied or changed: what it names is what
/// was claimed.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    buffer: u32,
    start: u32,
    end: u32,
}

impl Lease {
    /// A claim on `bytes` of `buffer`. It is for whoever keeps the accounts of that buffer to make it; reading
    /// through it is unsafe for that reason.
    pub fn new(buffer: u32, bytes: Range<u32>) -> Self {
        debug_assert!(bytes.start <= bytes.end);
        Lease {
            buffer,
            start: bytes.start,
            end: bytes.end,
        }
    }

    /// Which buffer.
    pub fn buffer(&self) -> u32 {
        self.buffer
    }

    /// Which of its bytes.
    pub fn bytes(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// One piece in a queue.
#[derive(Debug)]
pub enum Load {
    /// Bytes of our own.
    Slab(Box<Slab>),
    /// Bytes that lie in an engine's buffer.
    Lease(Lease),
}

impl Load {
    /// How many bytes it is.
    pub fn len(&self) -> usize {
        match self {
            Load::Slab(slab) => slab.len(),
            Load::Lease(lease) => lease.len(),
        }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cost(&self) -> u32 {
        match self {
            Load::Slab(slab) => slab.cost() as u32,
            Load::Lease(_) => 0,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Load::Slab(slab) => slab.advance(count),
            Load::Lease(lease) => lease.start += count as u32,
        }
    }
}

/// A connection's queue: where it begins and ends among the entries.
#[derive(Debug)]
pub struct Outbox {
    first: u32,
    last: u32,
    bytes: u32,
    /// What its slabs count for in a budget, in bytes.
    cost: u32,
}

impl Default for Outbox {
    fn default() -> Self {
        Outbox {
            first: NONE,
            last: NONE,
            bytes: 0,
            cost: 0,
        }
    }
}

impl Outbox {
    /// Whether everything has been sent.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// The bytes queued.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// The memory that they take, in bytes. What lies in an engine's buffers takes none.
    pub fn cost(&self) -> usize {
        self.cost as usize
    }
}

#[derive(Debug)]
struct Entry {
    load: Option<Load>,
    next: u32,
}

/// The pieces of all queues of one core.
#[derive(Debug)]
pub struct Entries {
    entries: Vec<Entry>,
    free: u32,
}

impl Default for Entries {
    fn default() -> Self {
        Entries {
            entries: Vec::new(),
            free: NONE,
        }
    }
}

impl Entries {
    /// Appends a piece.
    pub fn push(&mut self, outbox: &mut Outbox, load: Load) {
        outbox.bytes += load.len() as u32;
        outbox.cost += load.cost();
        let entry = Entry {
            load: Some(load),
            next: NONE,
        };
        let index = if self.free == NONE {
            self.entries.push(entry);
            self.entries.len() as u32 - 1
        } else {
            let index = self.free;
            self.free = self.entries[index as usize].next;
            self.entries[index as usize] = entry;
            index
        };
        match outbox.last {
            NONE => outbox.first = index,
            last => self.entries[last as usize].next = index,
        }
        outbox.last = index;
    }

    /// Appends a slab; what is in it goes into the last one where it fits, so that many small replies do
    /// not take a slab each.
    pub fn push_slab(&mut self, outbox: &mut Outbox, slab: Box<Slab>, slabs: &mut SlabPool) {
        match self.last_mut(outbox) {
            Some(Load::Slab(last)) if last.room() >= slab.len() => {
                last.append(slab.bytes());
                outbox.bytes += slab.len() as u32;
                slabs.give(slab);
            }
            _ => self.push(outbox, Load::Slab(slab)),
        }
    }

    /// Appends a copy of `bytes`, to the last slab where it has room.
    pub fn push_bytes(&mut self, outbox: &mut Outbox, mut bytes: &[u8], slabs: &mut SlabPool) {
        if let Some(Load::Slab(slab)) = self.last_mut(outbox) {
            let count = slab.append(bytes);
            outbox.bytes += count as u32;
            bytes = &bytes[count..];
        }
        while !bytes.is_empty() {
            // Where much waits already, more will.
            let len = bytes.len().max(outbox.bytes());
            let mut slab = slabs.take(len);
            let count = slab.append(bytes);
            self.push(outbox, Load::Slab(slab));
            bytes = &bytes[count..];
        }
    }

    /// Has `write` write up to `room` bytes behind all others: to the last slab where it has that much room. It says how
    /// many they are. No slab has room for more than 20,416.
    pub fn push_with(
        &mut self,
        outbox: &mut Outbox,
        room: usize,
        slabs: &mut SlabPool,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) {
        if let Some(Load::Slab(slab)) = self.last_mut(outbox)
            && slab.room() >= room
        {
            let count = write(slab.spare());
            slab.grow(count);
            outbox.bytes += count as u32;
            return;
        }
        let mut slab = slabs.take(room.max(outbox.bytes()));
        let count = write(slab.spare());
        slab.grow(count);
        if count > 0 {
            self.push(outbox, Load::Slab(slab));
        } else {
            slabs.give(slab);
        }
    }

    /// The piece to be sent next, and whether another follows it.
    #[inline]
    pub fn front(&self, outbox: &Outbox) -> Option<(&Load, bool)> {
        let entry = self.entries.get(outbox.first as usize)?;
        entry.load.as_ref().map(|load| (load, entry.next != NONE))
    }

    /// Counts `count` bytes of the front piece as sent. A piece that is finished comes back, for its
    /// memory to be returned.
    pub fn advance(&mut self, outbox: &mut Outbox, count: usize) -> Option<Load> {
        let load = self.entries.get_mut(outbox.first as usize)?.load.as_mut()?;
        load.advance(count);
        outbox.bytes -= count as u32;
        if load.is_empty() {
            self.pop(outbox)
        } else {
            None
        }
    }

    /// Takes the front piece away, sent or not.
    pub fn pop(&mut self, outbox: &mut Outbox) -> Option<Load> {
        let index = outbox.first;
        let entry = self.entries.get_mut(index as usize)?;
        let load = entry.load.take()?;
        outbox.first = std::mem::replace(&mut entry.next, self.free);
        self.free = index;
        if outbox.first == NONE {
            outbox.last = NONE;
        }
        outbox.bytes -= load.len() as u32;
        outbox.cost -= load.cost();
        Some(load)
    }

    fn last_mut(&mut self, outbox: &Outbox) -> Option<&mut Load> {
        self.entries.get_mut(outbox.last as usize)?.load.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(
        entries: &mut Entries,
        outbox: &mut Outbox,
        slabs: &mut SlabPool,
        step: usize,
    ) -> Vec<u8> {
        let mut sent = Vec::new();
        while let Some((Load::Slab(slab), _)) = entries.front(outbox) {
            let count = slab.len().min(step);
            sent.extend_from_slice(&slab.bytes()[..count]);
            if let Some(Load::Slab(slab)) = entries.advance(outbox, count) {
                slabs.give(slab);
            }
        }
        sent
    }

    #[test]
    fn bytes_come_out_in_the_order_they_went_in_whatever_the_steps() {
        let mut slabs = SlabPool::new(SlabPool::budget(1 << 20, 1));
        let mut entries = Entries::default();
        let (mut one, mut other) = (Outbox::default(), Outbox::default());
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        for piece in bytes.chunks(7_001) {
            entries.push_bytes(&mut one, piece, &mut slabs);
            entries.push_bytes(&mut other, &piece[..5], &mut slabs);
        }
        assert_eq!(one.bytes(), bytes.len());
        assert_eq!(drain(&mut entries, &mut one, &mut slabs, 999), bytes);
        assert!(one.is_empty() && one.bytes() == 0);
        let expected: Vec<u8> = bytes
            .chunks(7_001)
            .flat_map(|piece| &piece[..5])
            .copied()
            .collect();
        assert_eq!(drain(&mut entries, &mut other, &mut slabs, 4), expected);
        assert_eq!(slabs.out_bytes(), 0);
    }

    #[test]
    fn entries_are_reused() {
        let mut slabs = SlabPool::new(SlabPool::budget(1 << 20, 1));
        let mut entries = Entries::default();
        let mut outbox = Outbox::default();
        for _ in 0..100 {
            entries.push_bytes(&mut outbox, b"ring", &mut slabs);
            entries.push(&mut outbox, Load::Lease(Lease::new(3, 5..9)));
            while let Some(load) = entries.pop(&mut outbox) {
                if let Load::Slab(slab) = load {
                    slabs.give(slab);
                }
            }
        }
        assert_eq!(entries.entries.len(), 2);
    }
}
