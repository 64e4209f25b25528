//! Lanes: how many bytes are loaded, XORed and stored at once, and by which instructions.

/// A register's worth of bytes.
///
/// All methods are inlined into their caller, so that a wide lane's instructions end up in a function
/// that was compiled for them.
pub(crate) trait Lane: Copy {
    /// How many bytes it holds: a multiple of four.
    const BYTES: usize;

    /// The key, repeated; `key` in the byte order of memory.
    ///
    /// # Safety
    /// The processor has the lane's instructions.
    unsafe fn splat(key: u32) -> Self;

    /// Loads [`Lane::BYTES`] bytes, at any alignment.
    ///
    /// # Safety
    /// They may be read, and the processor has the lane's instructions.
    unsafe fn load(from: *const u8) -> Self;

    /// Stores [`Lane::BYTES`] bytes, at any alignment.
    ///
    /// # Safety
    /// They may be written, and the processor has the lane's instructions.
    unsafe fn store(self, to: *mut u8);

    /// # Safety
    /// The processor has the lane's instructions.
    unsafe fn xor(self, other: Self) -> Self;
}

/// Sixteen bytes of any processor: compilers turn the pair into a vector register where there is one.
#[derive(Clone, Copy)]
#[cfg_attr(
    target_arch = "x86_64",
    allow(dead_code, reason = "only its tests use it there")
)]
pub(crate) struct Portable([u64; 2]);

impl Lane for Portable {
    const BYTES: usize = 16;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        let doubled = u64::from(key) << 32 | u64::from(key);
        Portable([doubled; 2])
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller answers for sixteen readable bytes; the read needs no alignment.
        Portable(unsafe { from.cast::<[u64; 2]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller answers for sixteen writable bytes; the write needs no alignment.
        unsafe { to.cast::<[u64; 2]>().write_unaligned(self.0) };
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        Portable([self.0[0] ^ other.0[0], self.0[1] ^ other.0[1]])
    }
}

/// Sixteen bytes by the instructions every processor of the target has.
#[cfg(target_arch = "x86_64")]
pub(crate) type Baseline = Sse2;

/// Sixteen bytes by the instructions every processor of the target has.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Baseline = Portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Avx2, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::{
        __m128i, __m256i, _mm_loadu_si128, _mm_set1_epi32, _mm_storeu_si128, _mm_xor_si128,
        _mm256_loadu_si256, _mm256_set1_epi32, _mm256_storeu_si256, _mm256_xor_si256,
    };

    use super::Lane;

    macro_rules! vector_lane {
        ($(#[$doc:meta])* $name:ident($vector:ty), $splat:ident, $load:ident, $store:ident, $xor:ident) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(crate) struct $name($vector);

            impl Lane for $name {
                const BYTES: usize = size_of::<$vector>();

                #[inline(always)]
                unsafe fn splat(key: u32) -> Self {
                    // SAFETY: the caller answers for the instructions.
                    $name(unsafe { $splat(key.cast_signed()) })
                }

                #[inline(always)]
                unsafe fn load(from: *const u8) -> Self {
                    // SAFETY: the caller answers for the instructions and for the readable bytes.
                    $name(unsafe { $load(from.cast()) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut u8) {
                    // SAFETY: the caller answers for the instructions and for the writable bytes.
                    unsafe { $store(to.cast(), self.0) };
                }

                #[inline(always)]
                unsafe fn xor(self, other: Self) -> Self {
                    // SAFETY: the caller answers for the instructions.
                    $name(unsafe { $xor(self.0, other.0) })
                }
            }
        };
    }

    vector_lane!(
        /// Sixteen bytes; every x86-64 processor has it.
        Sse2(__m128i), _mm_set1_epi32, _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128
    );
    vector_lane!(
        /// Thirty-two bytes.
        Avx2(__m256i), _mm256_set1_epi32, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_xor_si256
    );
}
