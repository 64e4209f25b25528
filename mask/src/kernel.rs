//! One idea for every length: **load before you store, and let the last block overlap**.
//!
//! A length that is no multiple of the lane is covered by one more lane that ends exactly at the end
//! and overlaps its neighbour; the overlap is written twice, with the same bytes. It has to be loaded
//! before anything is stored, because the source and the target may overlap. So there is no loop over
//! odd bytes at any length, and nothing outside the target is written.

use super::lane::{Baseline, Lane};

/// Up to this many bytes are unmasked inline at the caller, in registers only: no loop, no look at the
/// processor. Two of the four lanes suffice for half of it, which is where small messages are.
const INLINE_BYTES_MAX: usize = 4 * Baseline::BYTES;

/// A masking key, in the byte order of memory.
#[derive(Clone, Copy)]
pub(crate) struct Key(u32);

impl Key {
    #[inline(always)]
    pub(crate) fn new(bytes: [u8; 4]) -> Self {
        Key(u32::from_ne_bytes(bytes))
    }

    #[inline(always)]
    pub(crate) fn to_bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// The key as it stands after `count` bytes.
    #[inline(always)]
    pub(crate) fn after(self, count: usize) -> Self {
        let bits = (count as u32 % 4) * 8;
        if cfg!(target_endian = "little") {
            Key(self.0.rotate_right(bits))
        } else {
            Key(self.0.rotate_left(bits))
        }
    }

    #[inline(always)]
    fn doubled(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

/// Writes the unmasked bytes of `source` to `target`.
///
/// # Safety
/// `source` is good for reading and `target` for writing `len` bytes. The two may overlap only if
/// `target` does not begin behind `source`.
#[inline(always)]
pub(crate) unsafe fn unmask(target: *mut u8, source: *const u8, len: usize, key: Key) {
    // SAFETY: the caller's promises are what each of these asks, and the branch gives the length.
    unsafe {
        if len > INLINE_BYTES_MAX {
            unmask_long(target, source, len, key);
        } else if len >= Baseline::BYTES {
            unmask_lanes(target, source, len, key);
        } else {
            unmask_short(target, source, len, key);
        }
    }
}

/// Less than a lane: two words, or up to three bytes, that overlap.
///
/// # Safety
/// As [`unmask`], with `len` less than sixteen.
#[inline(always)]
unsafe fn unmask_short(target: *mut u8, source: *const u8, len: usize, key: Key) {
    // SAFETY: each read and write is of a whole word that ends at or before `len`, at any alignment,
    // and all reads come before the first write.
    unsafe {
        if len >= 8 {
            let last = len - 8;
            let first_word = source.cast::<u64>().read_unaligned() ^ key.doubled();
            let last_word =
                source.add(last).cast::<u64>().read_unaligned() ^ key.after(last).doubled();
            target.cast::<u64>().write_unaligned(first_word);
            target.add(last).cast::<u64>().write_unaligned(last_word);
        } else if len >= 4 {
            let last = len - 4;
            let first_word = source.cast::<u32>().read_unaligned() ^ key.0;
            let last_word = source.add(last).cast::<u32>().read_unaligned() ^ key.after(last).0;
            target.cast::<u32>().write_unaligned(first_word);
            target.add(last).cast::<u32>().write_unaligned(last_word);
        } else if len > 0 {
            // One byte: all three are it. Two: the middle is the last. Three: each its own.
            let (middle, last) = (len / 2, len - 1);
            let bytes = key.to_bytes();
            let first_byte = *source ^ bytes[0];
            let middle_byte = *source.add(middle) ^ bytes[middle];
            let last_byte = *source.add(last) ^ bytes[last];
            *target = first_byte;
            *target.add(middle) = middle_byte;
            *target.add(last) = last_byte;
        }
    }
}

/// One to four lanes: two from each end, or one.
///
/// # Safety
/// As [`unmask`], with `len` from one lane to four.
#[inline(always)]
unsafe fn unmask_lanes(target: *mut u8, source: *const u8, len: usize, key: Key) {
    const LANE: usize = Baseline::BYTES;
    // SAFETY: the baseline is there on every processor of the target. Each lane ends at or before
    // `len`: one lane fits, and two from each end are touched only if there are more than two. All
    // loads come before the first store.
    unsafe {
        let last = len - LANE;
        let forward = Baseline::splat(key.0);
        let backward = Baseline::splat(key.after(last).0);
        let first_lane = Baseline::load(source).xor(forward);
        let last_lane = Baseline::load(source.add(last)).xor(backward);
        if len > 2 * LANE {
            let second_lane = Baseline::load(source.add(LANE)).xor(forward);
            let third_lane = Baseline::load(source.add(last - LANE)).xor(backward);
            second_lane.store(target.add(LANE));
            third_lane.store(target.add(last - LANE));
        }
        first_lane.store(target);
        last_lane.store(target.add(last));
    }
}

/// Any length above four baseline lanes, by the widest lanes that pay.
///
/// # Safety
/// As [`unmask`], with `len` more than [`INLINE_BYTES_MAX`].
#[inline(never)]
unsafe fn unmask_long(target: *mut u8, source: *const u8, len: usize, key: Key) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2; the rest is the caller's promise.
        return unsafe { unmask_long_avx2(target, source, len, key) };
    }
    // SAFETY: the baseline is there on every processor of the target; the rest is the caller's promise.
    unsafe { unmask_loop::<Baseline>(target, source, len, key) };
}

/// # Safety
/// As [`unmask_long`], on a processor with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn unmask_long_avx2(target: *mut u8, source: *const u8, len: usize, key: Key) {
    // SAFETY: the caller's promises.
    unsafe { unmask_loop::<super::lane::Avx2>(target, source, len, key) };
}

/// From left to right: the first lane, which overlaps; then, with stores aligned to the lane, four lanes
/// at a time and one at a time; then the last, which overlaps too.
///
/// A store never reaches a byte that is yet to be loaded. The target is not behind the source, so a
/// lane's store overwrites at most that lane's own source and what is left of it; and the first and the
/// last lane are loaded before, and stored after, all others.
///
/// # Safety
/// As [`unmask`], with `len` at least one lane, on a processor that has the lane's instructions.
#[inline(always)]
pub(crate) unsafe fn unmask_loop<L: Lane>(
    target: *mut u8,
    source: *const u8,
    len: usize,
    key: Key,
) {
    // SAFETY: the caller answers for the instructions. Every lane begins at or before `last`, so it
    // ends at or before `len`.
    unsafe {
        let last = len - L::BYTES;
        let first_lane = L::load(source).xor(L::splat(key.0));
        let last_lane = L::load(source.add(last)).xor(L::splat(key.after(last).0));
        // One lane or less to the first aligned store: a store that crosses a cache line costs two.
        let mut at = L::BYTES - target.addr() % L::BYTES;
        let keys = L::splat(key.after(at).0);
        while at + 4 * L::BYTES <= last {
            let lanes = [
                L::load(source.add(at)).xor(keys),
                L::load(source.add(at + L::BYTES)).xor(keys),
                L::load(source.add(at + 2 * L::BYTES)).xor(keys),
                L::load(source.add(at + 3 * L::BYTES)).xor(keys),
            ];
            for (index, lane) in lanes.into_iter().enumerate() {
                lane.store(target.add(at + index * L::BYTES));
            }
            at += 4 * L::BYTES;
        }
        while at < last {
            L::load(source.add(at)).xor(keys).store(target.add(at));
            at += L::BYTES;
        }
        first_lane.store(target);
        last_lane.store(target.add(last));
    }
}
