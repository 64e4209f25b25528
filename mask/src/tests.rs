//! Every fast function against its naive twin.

use proptest::prelude::*;

use super::kernel::{Key, unmask_loop};
use super::lane::{Baseline, Lane, Portable};
use super::{rotate, unmask, unmask_copy, unmask_within};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Of what is made up, at most so many bytes.
const BYTES_MAX: usize = if cfg!(miri) { 300 } else { 5000 };

/// All of `range`; where it is interpreted, and takes a thousand times as long, some of it.
fn some(range: std::ops::RangeInclusive<usize>) -> impl Iterator<Item = usize> {
    range.step_by(if cfg!(miri) { 13 } else { 1 })
}

/// The section's own words: octet i is XORed with octet i modulo 4 of the key.
fn naive(source: &[u8], key: [u8; 4]) -> Vec<u8> {
    source
        .iter()
        .enumerate()
        .map(|(index, byte)| byte ^ key[index % 4])
        .collect()
}

/// Bytes of which no two neighbours, and no two lanes, are alike.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// What `bytes` must be after a move: the target rewritten, all else as it was.
fn moved(bytes: &[u8], source: std::ops::Range<usize>, target: usize, key: [u8; 4]) -> Vec<u8> {
    let mut expected = bytes.to_vec();
    let unmasked = naive(&bytes[source], key);
    expected[target..target + unmasked.len()].copy_from_slice(&unmasked);
    expected
}

/// Memory in which offset 0 is aligned to a cache line, so that offsets are alignments.
#[repr(align(64))]
struct Aligned([u8; 512]);

impl Aligned {
    fn new() -> Self {
        let mut aligned = Aligned([0; 512]);
        aligned.0.copy_from_slice(&pattern(512));
        aligned
    }
}

#[test]
fn unmasks_the_example_of_the_specification() {
    // RFC 6455, section 5.7: a masked "Hello".
    let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
    unmask(&mut bytes, KEY);
    assert_eq!(&bytes, b"Hello");
}

#[test]
fn unmasks_in_place_at_every_length_and_alignment() {
    for len in some(0..=200) {
        for start in some(0..=63) {
            let mut memory = Aligned::new();
            let expected = moved(&memory.0, start..start + len, start, KEY);
            unmask(&mut memory.0[start..start + len], KEY);
            assert_eq!(memory.0[..], expected[..], "{len} bytes at {start}");
        }
    }
}

#[test]
fn moves_at_every_length_alignment_and_distance() {
    for len in some(0..=130) {
        for target in some(0..=31) {
            for distance in some(0..=16) {
                let source = target + distance..target + distance + len;
                let mut memory = Aligned::new();
                let expected = moved(&memory.0, source.clone(), target, KEY);
                unmask_within(&mut memory.0, source, target, KEY);
                assert_eq!(
                    memory.0[..],
                    expected[..],
                    "{len} bytes to {target}, by {distance}"
                );
            }
        }
    }
}

#[test]
fn copies_at_every_length_and_alignment() {
    let source = Aligned::new();
    for len in some(0..=130) {
        for from in some(0..=31) {
            for to in some(0..=31) {
                let mut memory = Aligned([0xa5; 512]);
                let mut expected = memory.0;
                expected[to..to + len].copy_from_slice(&naive(&source.0[from..from + len], KEY));
                unmask_copy(
                    &mut memory.0[to..to + len],
                    &source.0[from..from + len],
                    KEY,
                );
                assert_eq!(memory.0, expected, "{len} bytes from {from} to {to}");
            }
        }
    }
}

#[test]
fn a_rotated_key_continues_where_the_last_piece_ended() {
    let masked = pattern(64);
    for cut in some(0..=64) {
        let mut bytes = masked.clone();
        let (first, second) = bytes.split_at_mut(cut);
        unmask(first, KEY);
        unmask(second, rotate(KEY, cut));
        assert_eq!(bytes, naive(&masked, KEY), "cut at {cut}");
    }
}

/// The loop over one kind of lane, which [`unmask`] may not choose on this processor.
fn check_lane<L: Lane>() {
    for len in some(L::BYTES..=10 * L::BYTES) {
        for distance in some(0..=16) {
            let mut memory = Aligned::new();
            let expected = moved(&memory.0, 3 + distance..3 + distance + len, 3, KEY);
            let start = memory.0.as_mut_ptr();
            // SAFETY: at most 3 + 16 + 320 of 512 bytes are touched, the move is to the left, and the
            // caller has seen that the processor has the lane.
            unsafe { unmask_loop::<L>(start.add(3), start.add(3 + distance), len, Key::new(KEY)) };
            assert_eq!(memory.0[..], expected[..], "{len} bytes by {distance}");
        }
    }
}

#[test]
fn every_kind_of_lane_agrees_with_the_twin() {
    check_lane::<Portable>();
    check_lane::<Baseline>();
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        check_lane::<super::lane::Avx2>();
    }
}

#[test]
#[should_panic(expected = "the move must be to the left")]
fn refuses_to_move_right() {
    unmask_within(&mut [0; 8], 2..4, 3, KEY);
}

#[test]
#[should_panic(expected = "the move must be to the left")]
fn refuses_a_source_out_of_bounds() {
    unmask_within(&mut [0; 8], 2..9, 0, KEY);
}

#[test]
#[should_panic(expected = "the move must be to the left")]
#[expect(
    clippy::reversed_empty_ranges,
    reason = "a reversed range is what must be refused"
)]
fn refuses_a_reversed_source() {
    unmask_within(&mut [0; 8], 6..2, 0, KEY);
}

#[test]
#[should_panic(expected = "a target as long as its source")]
fn refuses_to_copy_to_another_length() {
    unmask_copy(&mut [0; 3], &[0; 4], KEY);
}

proptest! {
    #[test]
    fn moves_like_the_twin(
        bytes in proptest::collection::vec(any::<u8>(), 0..BYTES_MAX),
        key: [u8; 4],
        places: [prop::sample::Index; 3],
    ) {
        let mut places = places.map(|place| place.index(bytes.len() + 1));
        places.sort_unstable();
        let [target, start, end] = places;
        let mut rewritten = bytes.clone();
        unmask_within(&mut rewritten, start..end, target, key);
        prop_assert_eq!(rewritten, moved(&bytes, start..end, target, key));
    }

    #[test]
    fn copies_and_unmasks_like_the_twin(
        bytes in proptest::collection::vec(any::<u8>(), 0..BYTES_MAX),
        key: [u8; 4],
    ) {
        let mut copied = vec![0; bytes.len()];
        unmask_copy(&mut copied, &bytes, key);
        let expected = naive(&bytes, key);
        prop_assert_eq!(&copied, &expected);
        let mut rewritten = bytes;
        unmask(&mut rewritten, key);
        prop_assert_eq!(rewritten, expected);
    }
}
