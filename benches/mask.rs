//! Unmasking, each way beside the plain copy that touches the same bytes of the same buffers:
//!
//! | unmasking | reads | writes | beside |
//! |---|---|---|---|
//! | `unmask in place` | n bytes | the same | `memcpy` |
//! | `unmask to copy` | n bytes | n others | `memcpy` |
//! | `unmask left by ...` | n bytes | the same, 4 to 14 bytes before | `memmove left by ...` |
//!
//! The payload begins where it does behind the longest header, 14 bytes into its buffer.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringback_mask::{unmask, unmask_copy, unmask_within};

use support::shown;
use support::streams::noise;

const KEY: [u8; 4] = [0x1F, 0x2E, 0x3D, 0x4C];

/// The longest header of a client's frame.
const HEADER_BYTES: usize = 14;

/// Every rival's and every own way gives the same bytes.
fn verify(payload: &[u8]) {
    let expected: Vec<_> = payload
        .iter()
        .zip(KEY.iter().cycle())
        .map(|(byte, key)| byte ^ key)
        .collect();
    let mut in_place = payload.to_vec();
    unmask(&mut in_place, KEY);
    assert_eq!(in_place, expected);
    let mut by_fastwebsockets = payload.to_vec();
    fastwebsockets::unmask(&mut by_fastwebsockets, KEY);
    assert_eq!(by_fastwebsockets, expected);
    let mut copied = vec![0; payload.len()];
    unmask_copy(&mut copied, payload, KEY);
    assert_eq!(copied, expected);
}

fn mask(criterion: &mut Criterion) {
    for bytes in [16, 125, 1 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] {
        let mut buffer = noise(HEADER_BYTES + bytes);
        let mut target = vec![0; HEADER_BYTES + bytes];
        verify(&buffer[HEADER_BYTES..]);
        let mut group = criterion.benchmark_group(format!("mask {}", shown(bytes)));
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("memcpy", |bencher| {
            bencher.iter(|| {
                let source = black_box(&buffer[HEADER_BYTES..]);
                black_box(&mut target[HEADER_BYTES..]).copy_from_slice(source);
            });
        });
        group.bench_function("unmask to copy", |bencher| {
            bencher.iter(|| {
                let source = black_box(&buffer[HEADER_BYTES..]);
                unmask_copy(black_box(&mut target[HEADER_BYTES..]), source, KEY);
            });
        });
        group.bench_function("unmask in place", |bencher| {
            bencher.iter(|| unmask(black_box(&mut buffer[HEADER_BYTES..]), KEY));
        });
        group.bench_function("fastwebsockets in place", |bencher| {
            bencher.iter(|| fastwebsockets::unmask(black_box(&mut buffer[HEADER_BYTES..]), KEY));
        });
        for distance in [4, 8, 14] {
            let to = HEADER_BYTES - distance;
            group.bench_function(format!("memmove left by {distance}"), |bencher| {
                bencher.iter(|| black_box(&mut buffer).copy_within(HEADER_BYTES.., to));
            });
            group.bench_function(format!("unmask left by {distance}"), |bencher| {
                let source = HEADER_BYTES..HEADER_BYTES + bytes;
                bencher.iter(|| unmask_within(black_box(&mut buffer), source.clone(), to, KEY));
            });
        }
        group.finish();
    }
}

criterion_group!(name = benches; config = support::settings(); targets = mask);
criterion_main!(benches);
