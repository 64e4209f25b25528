//! Whether a text is UTF-8: the incremental validator on a whole text and on one that comes in pieces,
//! beside simdutf8's two flavours, which know whole texts only, and the standard library.

mod support;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringback::protocol::utf8::Validator;

use support::shown;
use support::streams::{PROSE, text};

/// Odd, so that the cuts fall anywhere in a character: about what one TCP segment carries.
const PIECE_BYTES: usize = 1447;

fn is_valid(text: &[u8], piece_bytes: usize) -> bool {
    let mut validator = Validator::default();
    text.chunks(piece_bytes)
        .all(|piece| validator.push(piece).is_ok())
        && validator.is_complete()
}

fn utf8(criterion: &mut Criterion) {
    for (kind, prose) in PROSE {
        for bytes in [16, 125, 1 << 10, 64 << 10] {
            let text = text(prose, bytes).into_bytes();
            assert!(is_valid(&text, bytes) && is_valid(&text, PIECE_BYTES));
            let mut group = criterion.benchmark_group(format!("utf8 {kind} {}", shown(bytes)));
            group.throughput(Throughput::Bytes(bytes as u64));
            group.bench_function("ringback whole", |bencher| {
                bencher.iter(|| {
                    let mut validator = Validator::default();
                    validator.push(black_box(&text)).is_ok() && validator.is_complete()
                });
            });
            if bytes > PIECE_BYTES {
                group.bench_function(format!("ringback in pieces of {PIECE_BYTES}"), |bencher| {
                    bencher.iter(|| is_valid(black_box(&text), PIECE_BYTES));
                });
            }
            group.bench_function("simdutf8 basic", |bencher| {
                bencher.iter(|| simdutf8::basic::from_utf8(black_box(&text)).is_ok());
            });
            group.bench_function("simdutf8 compat", |bencher| {
                bencher.iter(|| simdutf8::compat::from_utf8(black_box(&text)).is_ok());
            });
            group.bench_function("std", |bencher| {
                bencher.iter(|| std::str::from_utf8(black_box(&text)).is_ok());
            });
            group.finish();
        }
    }
}

criterion_group!(name = benches; config = support::settings(); targets = utf8);
criterion_main!(benches);
