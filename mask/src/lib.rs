//! WebSocket masking (RFC 6455, section 5.3): every payload byte is XORed with one of four key bytes,
//! in turn. Masking and unmasking are the same operation.
//!
//! A server that answers a frame in place has to unmask its payload and to move it a few bytes to the
//! left, over the header and the key that the answer does not have. [`unmask_within`] does both in one
//! pass:
//!
//! ```text
//! before   | ....... | hdr | key | source ............. | next frame
//!                      \      \
//! after    | ....... | hdr | target ............. | .. | next frame
//! ```
//!
//! This crate holds the only unsafe code that masking needs: vector loads and stores, and the choice of
//! their width at run time. Its contract is in safe functions that check their arguments; it knows
//! nothing of frames or sockets, and depends on nothing.

mod kernel;
mod lane;

#[cfg(test)]
mod tests;

use std::ops::Range;

use kernel::Key;

/// Unmasks `bytes` in place. The first byte is XORed with `key[0]`.
#[inline]
pub fn unmask(bytes: &mut [u8], key: [u8; 4]) {
    let len = bytes.len();
    let start = bytes.as_mut_ptr();
    // SAFETY: both ranges are the whole of `bytes`, which this call borrows mutably; the target does
    // not begin behind the source.
    unsafe { kernel::unmask(start, start, len, Key::new(key)) };
}

/// Unmasks `bytes[source]` while moving it left (or not at all), so that it begins at `target`.
///
/// Nothing outside `target..target + source.len()` is written: the bytes behind the source may belong
/// to frames not yet read.
///
/// # Panics
/// If `source` is not a range within `bytes`, or `target` is behind its start.
#[inline]
pub fn unmask_within(bytes: &mut [u8], source: Range<usize>, target: usize, key: [u8; 4]) {
    if target > source.start || source.start > source.end || source.end > bytes.len() {
        refuse_move(bytes.len(), &source, target);
    }
    let start = bytes.as_mut_ptr();
    // SAFETY: target <= source.start <= source.end <= bytes.len() was checked just above, so both
    // ranges lie in `bytes`, which this call borrows mutably, and the target does not begin behind the
    // source.
    unsafe {
        kernel::unmask(
            start.add(target),
            start.add(source.start),
            source.len(),
            Key::new(key),
        );
    }
}

/// Writes the unmasked bytes of `source` to `target`.
///
/// # Panics
/// If their lengths differ.
#[inline]
pub fn unmask_copy(target: &mut [u8], source: &[u8], key: [u8; 4]) {
    assert_eq!(
        target.len(),
        source.len(),
        "unmask_copy needs a target as long as its source"
    );
    // SAFETY: both are `source.len()` bytes long, and a mutable borrow overlaps no other.
    unsafe {
        kernel::unmask(
            target.as_mut_ptr(),
            source.as_ptr(),
            source.len(),
            Key::new(key),
        );
    };
}

/// The key as it stands after `count` bytes: what unmasks the rest of a payload that comes in pieces.
#[inline]
pub fn rotate(key: [u8; 4], count: usize) -> [u8; 4] {
    Key::new(key).after(count).to_bytes()
}

#[cold]
#[inline(never)]
fn refuse_move(len: usize, source: &Range<usize>, target: usize) -> ! {
    panic!("cannot unmask {source:?} to {target} within {len} bytes: the move must be to the left");
}
