//! Memory as the kernel gives it.

/// Keeps this process to ordinary pages (`PR_SET_THP_DISABLE`, Linux 3.15).
///
/// The allocator asks for transparent huge pages, and then ten thousand idle connections cost whole
/// pages of two mebibytes: 629 bytes each where 243 are used. To be called before much is allocated.
pub fn keep_to_small_pages() {
    // A kernel without it gives the same service for a little more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Returns to the kernel what this thread has freed. It takes about a millisecond for a crowd of ten
/// thousand, and would otherwise wait until the thread allocates again, which an idle one does not.
pub fn give_back() {
    // SAFETY: may be called from any thread at any time; it touches only what is free.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
