//! An allocator that counts, for tests that declare it as theirs: `#[global_allocator] static A: Counting = Counting;`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations of this thread. The other threads are the harness's.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    /// What this thread has allocated and not given back, in bytes.
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
    /// The largest of its allocations, in bytes.
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

pub(crate) struct Counting;

/// How often this thread has allocated.
pub(crate) fn count() -> usize {
    COUNT.get()
}

/// What this thread holds, in bytes.
pub(crate) fn held_bytes() -> usize {
    HELD_BYTES.get()
}

/// What `work` returns, and the largest allocation that it made, in bytes.
pub(crate) fn largest_in<T>(work: impl FnOnce() -> T) -> (T, usize) {
    LARGEST.set(0);
    let result = work();
    (result, LARGEST.get())
}

impl Counting {
    // A thread that ends may allocate after its locals are gone; none of those is counted here.
    fn count(bytes: usize) {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        let _ = HELD_BYTES.try_with(|held| held.set(held.get().wrapping_add(bytes)));
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(bytes)));
    }

    fn forget(bytes: usize) {
        let _ = HELD_BYTES.try_with(|held| held.set(held.get().wrapping_sub(bytes)));
    }
}

// SAFETY: every method passes its arguments on to `System`, which keeps the contract of `GlobalAlloc`;
// the counters are constant-initialised thread locals without a destructor and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::forget(layout.size());
        // SAFETY: the caller keeps the contract of `dealloc`, and `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::forget(layout.size());
        Self::count(size);
        // SAFETY: the caller keeps the contract of `realloc`, and `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
