//! Compression against itself, against the bytes printed in RFC 7692, and against a slow reader of
//! DEFLATE that also says how far back a stream reaches.

use proptest::prelude::*;

use super::*;
use crate::wire::handshake::extension::Terms;

/// Each message on its own.
fn fresh() -> Terms {
    Terms {
        no_context_takeover: true,
        ..Terms::default()
    }
}

/// Every agreement that changes something on either side.
fn agreements() -> Vec<DeflateAgreement> {
    (8..=15)
        .flat_map(|bits| [false, true].map(|fresh| (bits, fresh)))
        .map(|(max_window_bits, no_context_takeover)| {
            let both = Terms {
                max_window_bits,
                no_context_takeover,
            };
            DeflateAgreement {
                client: both,
                server: both,
            }
        })
        .collect()
}

/// Inflates one reply that comes in `pieces`.
fn inflate(inflater: &mut Inflater, pieces: &[&[u8]], expected: usize) -> Result<Vec<u8>, Failure> {
    let mut whole = Vec::new();
    let mut sink = |bytes: &[u8]| {
        assert!(!bytes.is_empty() && bytes.len() <= SCRATCH_BYTES);
        whole.extend_from_slice(bytes);
        Ok(())
    };
    for piece in pieces {
        inflater.receive(piece, expected, &mut sink)?;
    }
    let length = inflater.finish(expected, &mut sink)?;
    assert_eq!(length, whole.len() as u64);
    Ok(whole)
}

fn compress(deflater: &mut Deflater, message: &[u8]) -> Vec<u8> {
    let mut out = b"before".to_vec();
    deflater.compress(message, &mut out).unwrap();
    assert!(out.starts_with(b"before") && out.len() > 6);
    out.split_off(6)
}

/// Compressible bytes with repeats at every distance.
fn repetitive(length: usize, seed: u64) -> Vec<u8> {
    let mut random = crate::payload::Random::new(seed, 0);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let new: Vec<u8> = (0..8).map(|_| random.bits() as u8).collect();
        bytes.extend_from_slice(&new);
        let from = random.below(bytes.len());
        let to = (from + random.below(40)).min(bytes.len());
        bytes.extend_from_within(from..to);
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn reads_the_samples_of_the_rfc() {
    // RFC 7692 sections 7.2.3.1 to 7.2.3.6. The second needs the first before it.
    let samples: [&[&[u8]]; 7] = [
        &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"],
        &[b"\xf2\x00\x11\x00\x00"],
        &[b"\xf2\x48\xcd", b"\xc9\xc9\x07\x00"],
        &[b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"],
        &[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"],
        &[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"],
        &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"],
    ];
    let mut inflater = Inflater::new(&DeflateAgreement::default());
    for sample in samples {
        assert_eq!(
            inflate(&mut inflater, sample, 5).unwrap(),
            b"Hello",
            "{sample:x?}"
        );
    }
    assert_eq!(inflate(&mut inflater, &[b"\x00"], 0).unwrap(), b"");
}

#[test]
fn writes_the_samples_of_the_rfc() {
    let mut deflater = Deflater::new(&DeflateAgreement::default());
    assert_eq!(compress(&mut deflater, b""), b"\x00");
    assert_eq!(
        compress(&mut deflater, b"Hello"),
        b"\xf2\x48\xcd\xc9\xc9\x07\x00"
    );
    // There are several ways to refer to the message before; the RFC's takes five bytes.
    assert!(compress(&mut deflater, b"Hello").len() <= 5);
    assert_eq!(compress(&mut deflater, b""), b"\x00");
    assert_eq!(compress(&mut deflater, b""), b"\x00");
    let mut deflater = Deflater::new(&DeflateAgreement {
        client: fresh(),
        ..DeflateAgreement::default()
    });
    for _ in 0..2 {
        assert_eq!(
            compress(&mut deflater, b"Hello"),
            b"\xf2\x48\xcd\xc9\xc9\x07\x00"
        );
    }
}

#[test]
fn what_was_compressed_comes_back_under_every_agreement() {
    for agreement in agreements() {
        let mut deflater = Deflater::new(&agreement);
        let mut inflater = Inflater::new(&agreement);
        for (number, length) in [1, 0, 5, 4096, 4097, 70_000, 3, 300_000]
            .into_iter()
            .enumerate()
        {
            let message = repetitive(length, number as u64);
            let compressed = compress(&mut deflater, &message);
            let back = inflate(&mut inflater, &[&compressed], length).unwrap();
            assert!(back == message, "{agreement}, {length} bytes");
        }
    }
}

/// RFC 7692 sections 7.1.1.2 and 7.1.2.2: a server with that window only, or with none kept, must
/// be able to inflate.
#[test]
fn no_message_reaches_back_further_than_was_agreed() {
    for agreement in agreements() {
        let mut deflater = Deflater::new(&agreement);
        let mut history = Vec::new();
        let mut furthest = 0;
        for number in 0..4 {
            // Cut so that repeats reach over from one message to the next.
            let message = repetitive(20_000, 7)[number * 5000..][..5000].to_vec();
            let mut stream = compress(&mut deflater, &message);
            stream.extend_from_slice(&TAIL);
            if agreement.client.no_context_takeover {
                history.clear();
            }
            let before = history.len();
            furthest = furthest.max(slow::inflate(&stream, &mut history));
            assert!(history[before..] == message, "{agreement}");
        }
        let window = 1 << agreement.client.max_window_bits;
        assert!(furthest <= window, "{agreement}: reaches {furthest} back");
        assert!(
            furthest > window.min(4096) / 4,
            "{agreement}: {furthest} tests nothing"
        );
    }
}

#[test]
fn a_bomb_is_stopped_at_the_first_byte_too_many() {
    let agreement = DeflateAgreement::default();
    let bomb = compress(&mut Deflater::new(&agreement), &vec![0; 64 << 20]);
    assert!(bomb.len() < 1 << 20, "{} bytes are no bomb", bomb.len());
    for expected in [0, 1, 1000, 1 << 20] {
        let mut handed_on = 0;
        let failure = Inflater::new(&agreement)
            .receive(&bomb, expected, |bytes| {
                handed_on += bytes.len();
                Ok(())
            })
            .unwrap_err();
        assert!(
            failure.to_string().contains("inflates to more than"),
            "{failure}"
        );
        assert!(handed_on <= expected);
    }
}

#[test]
fn a_sink_that_fails_ends_it() {
    let agreement = DeflateAgreement::default();
    let compressed = compress(&mut Deflater::new(&agreement), &vec![0; 100_000]);
    let mut calls = 0;
    let failure = Inflater::new(&agreement).receive(&compressed, 100_000, |_| {
        calls += 1;
        Err(Failure::Protocol("enough".to_owned()))
    });
    assert!(failure.unwrap_err().to_string().contains("enough"));
    assert_eq!(calls, 1);
}

#[test]
fn a_reply_that_refers_to_what_it_may_not_is_refused() {
    let fresh = DeflateAgreement {
        server: fresh(),
        ..DeflateAgreement::default()
    };
    let hello: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let again: &[u8] = b"\xf2\x00\x11\x00\x00";
    let mut inflater = Inflater::new(&fresh);
    inflate(&mut inflater, &[hello], 5).unwrap();
    let failure = inflate(&mut inflater, &[again], 5).unwrap_err();
    assert!(failure.to_string().contains("not DEFLATE"), "{failure}");
}

#[test]
fn garbage_is_refused() {
    for garbage in [
        &b"\xff\xff\xff"[..],
        b"\x06\x00",
        b"\x00\x05\x00\x00\x00hello",
    ] {
        let mut inflater = Inflater::new(&DeflateAgreement::default());
        let failure = inflater.receive(garbage, 1000, |_| Ok(())).unwrap_err();
        assert!(failure.to_string().contains("not DEFLATE"), "{garbage:x?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cuts_do_not_matter(
        length in 0usize..20_000,
        seed in any::<u64>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let agreement = DeflateAgreement::default();
        let message = repetitive(length, seed);
        let compressed = compress(&mut Deflater::new(&agreement), &message);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(compressed.len())).collect();
        cuts.extend([0, compressed.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &compressed[cut[0]..cut[1]]).collect();
        let back = inflate(&mut Inflater::new(&agreement), &pieces, length).unwrap();
        prop_assert!(back == message);
    }

    /// Hostile bytes end in bytes or in a sentence, and never in more than was expected.
    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let mut inflater = Inflater::new(&DeflateAgreement::default());
        if let Ok(whole) = inflate(&mut inflater, &[first, second], 10_000) {
            prop_assert!(whole.len() <= 10_000);
        }
    }
}

/// DEFLATE as RFC 1951 describes it, bit by bit.
mod slow {
    /// Reads blocks until the input is used up, appends to `out`, and returns the largest distance.
    pub(crate) fn inflate(input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut bits = Bits { input, at: 0 };
        let mut furthest = 0;
        while bits.at < input.len() * 8 {
            assert_eq!(bits.take(1), 0, "a sync flush has no last block");
            match bits.take(2) {
                0 => {
                    bits.at = bits.at.next_multiple_of(8);
                    let length = bits.take(16);
                    assert_eq!(bits.take(16), length ^ 0xffff);
                    out.extend((0..length).map(|_| bits.take(8) as u8));
                }
                1 => {
                    let mut lengths = [8; 288];
                    lengths[144..256].fill(9);
                    lengths[256..280].fill(7);
                    furthest = furthest.max(block(
                        &mut bits,
                        &Code::new(&lengths),
                        &Code::new(&[5; 30]),
                        out,
                    ));
                }
                2 => {
                    let (literals, distances) = tables(&mut bits);
                    furthest = furthest.max(block(&mut bits, &literals, &distances, out));
                }
                _ => panic!("a reserved type of block"),
            }
        }
        furthest
    }

    struct Bits<'a> {
        input: &'a [u8],
        at: usize,
    }

    impl Bits<'_> {
        fn take(&mut self, count: usize) -> usize {
            (0..count).fold(0, |value, place| {
                let bit = self.input[self.at / 8] >> (self.at % 8) & 1;
                self.at += 1;
                value | usize::from(bit) << place
            })
        }

        /// The next symbol of `code`.
        fn symbol(&mut self, code: &Code) -> usize {
            let (mut bits, mut first, mut index) = (0, 0, 0);
            for count in &code.counts[1..] {
                bits = bits << 1 | self.take(1);
                first <<= 1;
                if bits - first < *count {
                    return code.symbols[index + bits - first];
                }
                first += count;
                index += count;
            }
            panic!("no symbol has this code")
        }
    }

    /// The canonical code with these lengths (RFC 1951 section 3.2.2).
    struct Code {
        /// How many codes have each length.
        counts: [usize; 16],
        /// Symbols with a code, by length and then by value.
        symbols: Vec<usize>,
    }

    impl Code {
        fn new(lengths: &[usize]) -> Code {
            let mut counts = [0; 16];
            for &length in lengths {
                counts[length] += 1;
            }
            let mut symbols: Vec<usize> = (0..lengths.len()).collect();
            symbols.retain(|&symbol| lengths[symbol] > 0);
            symbols.sort_by_key(|&symbol| lengths[symbol]);
            Code { counts, symbols }
        }
    }

    fn tables(bits: &mut Bits<'_>) -> (Code, Code) {
        let literals = bits.take(5) + 257;
        let distances = bits.take(5) + 1;
        let count = bits.take(4) + 4;
        let mut of_lengths = [0; 19];
        for place in [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ]
        .into_iter()
        .take(count)
        {
            of_lengths[place] = bits.take(3);
        }
        let of_lengths = Code::new(&of_lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (value, times) = match bits.symbol(&of_lengths) {
                16 => (*lengths.last().unwrap(), 3 + bits.take(2)),
                17 => (0, 3 + bits.take(3)),
                18 => (0, 11 + bits.take(7)),
                length => (length, 1),
            };
            lengths.extend(std::iter::repeat_n(value, times));
        }
        let distances = lengths.split_off(literals);
        (Code::new(&lengths), Code::new(&distances))
    }

    fn block(bits: &mut Bits<'_>, literals: &Code, distances: &Code, out: &mut Vec<u8>) -> usize {
        let mut furthest = 0;
        loop {
            let length = match bits.symbol(literals) {
                literal @ 0..=255 => {
                    out.push(literal as u8);
                    continue;
                }
                256 => return furthest,
                285 => 258,
                symbol @ 257..=264 => symbol - 254,
                symbol => {
                    let extra = (symbol - 261) / 4;
                    ((4 + (symbol - 261) % 4) << extra) + 3 + bits.take(extra)
                }
            };
            let distance = match bits.symbol(distances) {
                symbol @ 0..=3 => symbol + 1,
                symbol => {
                    let extra = (symbol - 2) / 2;
                    ((2 + symbol % 2) << extra) + 1 + bits.take(extra)
                }
            };
            furthest = furthest.max(distance);
            for _ in 0..length {
                out.push(out[out.len() - distance]);
            }
        }
    }
}
