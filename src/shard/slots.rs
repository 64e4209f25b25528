//! Where a core's connections live.
//!
//! Slots come in chunks, which are given back when they have emptied: memory follows the number of connections
//! down as well as up, and no connection is moved when others come. A slot is named by its index and a generation,
//! so a name from an earlier life is recognised.

/// Slots in a chunk: one bit each in its map of free slots.
const CHUNK_SLOTS: usize = 64;

/// The name of a connection: where its slot is, and which life of the slot it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// Which slot.
    pub index: u32,
    /// Which of its lives.
    pub generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

#[derive(Debug)]
struct Chunk<T> {
    free: u64,
    slots: Vec<Slot<T>>,
}

impl<T> Chunk<T> {
    fn new() -> Box<Self> {
        let empty = || Slot {
            generation: 0,
            value: None,
        };
        Box::new(Chunk {
            free: u64::MAX,
            slots: std::iter::repeat_with(empty).take(CHUNK_SLOTS).collect(),
        })
    }
}

/// The connections of one core.
#[derive(Debug)]
pub(super) struct Slots<T> {
    chunks: Vec<Option<Box<Chunk<T>>>>,
    /// Chunks with a free slot, each once.
    open: Vec<u32>,
    /// One emptied chunk is kept, so that a single connection coming and going costs no allocation.
    spare: Option<Box<Chunk<T>>>,
    live: usize,
    generation: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots {
            chunks: Vec::new(),
            open: Vec::new(),
            spare: None,
            live: 0,
            generation: 0,
        }
    }
}

impl<T> Slots<T> {
    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Whether none is in use.
    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Puts `value` into a free slot.
    pub(super) fn insert(&mut self, value: T) -> SlotId {
        let number = match self.open.last() {
            Some(number) => *number,
            None => {
                let number = self.chunks.len() as u32;
                self.chunks.push(None);
                self.open.push(number);
                number
            }
        };
        let spare = &mut self.spare;
        let chunk = self.chunks[number as usize]
            .get_or_insert_with(|| spare.take().unwrap_or_else(Chunk::new));
        let place = chunk.free.trailing_zeros();
        chunk.free &= !(1 << place);
        if chunk.free == 0 {
            self.open.pop();
        }
        // Zero is never a generation, so a name made of zeroes names nobody.
        self.generation = self.generation.wrapping_add(1).max(1);
        chunk.slots[place as usize] = Slot {
            generation: self.generation,
            value: Some(value),
        };
        self.live += 1;
        SlotId {
            index: number * CHUNK_SLOTS as u32 + place,
            generation: self.generation,
        }
    }

    /// The connection of that name, if it still lives.
    #[inline]
    pub(super) fn get(&self, id: SlotId) -> Option<&T> {
        let chunk = self
            .chunks
            .get(id.index as usize / CHUNK_SLOTS)?
            .as_deref()?;
        let slot = &chunk.slots[id.index as usize % CHUNK_SLOTS];
        slot.value
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The connection of that name, if it still lives.
    #[inline]
    pub(super) fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let chunk = self
            .chunks
            .get_mut(id.index as usize / CHUNK_SLOTS)?
            .as_deref_mut()?;
        let slot = &mut chunk.slots[id.index as usize % CHUNK_SLOTS];
        slot.value
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// Ends a life: the value, and the slot is free.
    pub(super) fn remove(&mut self, id: SlotId) -> Option<T> {
        self.get(id)?;
        let number = id.index as usize / CHUNK_SLOTS;
        let place = id.index as usize % CHUNK_SLOTS;
        let chunk = self.chunks[number].as_deref_mut()?;
        let value = chunk.slots[place].value.take();
        if chunk.free == 0 {
            self.open.push(number as u32);
        }
        chunk.free |= 1 << place;
        if chunk.free == u64::MAX {
            self.spare = self.chunks[number].take();
        }
        self.live -= 1;
        value
    }

    /// All that live now, with their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        (0..self.chunks()).flat_map(|number| self.chunk(number))
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Those that live now in a chunk, with their names.
    pub(super) fn chunk(&self, number: usize) -> impl Iterator<Item = (SlotId, &T)> {
        let chunk = self.chunks[number].iter();
        let slots = chunk.flat_map(|chunk| chunk.slots.iter().enumerate());
        slots.filter_map(move |(place, slot)| {
            let index = (number * CHUNK_SLOTS + place) as u32;
            let id = SlotId {
                index,
                generation: slot.generation,
            };
            slot.value.as_ref().map(|value| (id, value))
        })
    }

    /// The names of all that live now.
    pub(super) fn ids(&self) -> Vec<SlotId> {
        self.iter().map(|(id, _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_from_an_earlier_life_finds_nobody() {
        let mut slots = Slots::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.index, second.index);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
    }

    #[test]
    fn emptied_chunks_are_given_back() {
        let mut slots = Slots::default();
        let ids: Vec<_> = (0..10 * CHUNK_SLOTS)
            .map(|number| slots.insert(number))
            .collect();
        for id in ids {
            slots.remove(id);
        }
        assert!(slots.is_empty());
        assert!(slots.chunks.iter().all(Option::is_none));
    }

    proptest! {
        #[test]
        fn behaves_like_a_map(steps in proptest::collection::vec(any::<(bool, u16)>(), 0..600)) {
            let mut slots = Slots::default();
            let mut model: HashMap<SlotId, u16> = HashMap::new();
            let mut names = Vec::new();
            for (insert, number) in steps {
                if insert || names.is_empty() {
                    let id = slots.insert(number);
                    prop_assert!(model.insert(id, number).is_none());
                    names.push(id);
                } else {
                    let id = names[usize::from(number) % names.len()];
                    prop_assert_eq!(slots.remove(id), model.remove(&id));
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            let mut ids = slots.ids();
            let mut expected: Vec<_> = model.keys().copied().collect();
            ids.sort();
            expected.sort();
            prop_assert_eq!(ids, expected);
        }
    }
}
