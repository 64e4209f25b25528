//! The header of a client's frame, parsed: 64 of them, one after another, in each form of the length
//! and in all three mixed, so that no branch can be foreseen.

mod support;

use std::hint::black_box;
use std::io::Cursor;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringback::protocol::frame;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

use support::streams::{header, noise};

const HEADERS: usize = 64;
const BINARY: u8 = 0x82;
const KEY: [u8; 4] = [0x1F, 0x2E, 0x3D, 0x4C];

/// A length of each form.
const LENGTHS: [usize; 3] = [16, 1 << 10, 1 << 20];

fn cases() -> [(&'static str, Vec<Vec<u8>>); 4] {
    let of = |length| vec![header(BINARY, length, Some(KEY)); HEADERS];
    let mixed = noise(HEADERS).into_iter().map(|noise| {
        let length = LENGTHS[usize::from(noise) % LENGTHS.len()];
        header(BINARY, length, Some(KEY))
    });
    [
        ("7 bits", of(LENGTHS[0])),
        ("16 bits", of(LENGTHS[1])),
        ("64 bits", of(LENGTHS[2])),
        ("mixed", mixed.collect()),
    ]
}

/// The payload's length, as Ringback reads it.
fn ours(header: &[u8]) -> u64 {
    let header = frame::parse(header, false).expect("legal").expect("whole");
    black_box(&header).length
}

/// As tungstenite does.
fn tungstenite(header: &[u8]) -> u64 {
    let parsed = FrameHeader::parse(&mut Cursor::new(header));
    let (header, length) = parsed.expect("legal").expect("whole");
    black_box(&header);
    length
}

fn parse(criterion: &mut Criterion) {
    for (name, headers) in cases() {
        for header in &headers {
            assert_eq!(ours(header), tungstenite(header));
        }
        let mut group = criterion.benchmark_group(format!("header {name}"));
        group.throughput(Throughput::Elements(HEADERS as u64));
        group.bench_function("ringback", |bencher| {
            bencher.iter(|| headers.iter().map(|it| ours(black_box(it))).sum::<u64>());
        });
        group.bench_function("tungstenite", |bencher| {
            bencher.iter(|| {
                headers
                    .iter()
                    .map(|it| tungstenite(black_box(it)))
                    .sum::<u64>()
            });
        });
        group.finish();
    }
}

criterion_group!(name = benches; config = support::settings(); targets = parse);
criterion_main!(benches);
