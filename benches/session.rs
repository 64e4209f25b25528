//! An echo in memory: masked client frames in, the server frames that answer them out.
//!
//! `copy` is what all contenders pay, and no part of the protocol: the stream, copied once.

mod support;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

use support::ours::Ringback;
use support::rivals::{Echo, Fastwebsockets, TokioWebsockets, Tungstenite, verify};
use support::streams::{PROSE, Stream, text};

fn streams() -> Vec<&'static Stream> {
    let [ascii, _, chinese, _] = PROSE;
    let mut streams: Vec<_> = [16, 32, 125, 1 << 10, 16 << 10, 64 << 10, 1 << 20]
        .map(|bytes| Stream::binary(1, bytes))
        .into();
    streams.extend([Stream::binary(16, 16), Stream::binary(256, 16)]);
    for (kind, prose) in [ascii, chinese] {
        streams.push(Stream::text(kind, 256, &text(prose, 16)));
        streams.push(Stream::text(kind, 1, &text(prose, 64 << 10)));
    }
    streams
}

fn run<E: Echo>(group: &mut BenchmarkGroup<'_, WallTime>, stream: &'static Stream) {
    let mut echo = None;
    group.bench_function(E::NAME, |bencher| {
        let echo = echo.get_or_insert_with(|| {
            verify::<E>(stream);
            E::new(stream, false)
        });
        bencher.iter(|| echo.echo());
    });
}

fn copy(group: &mut BenchmarkGroup<'_, WallTime>, stream: &Stream) {
    let mut lent = stream.bytes.clone();
    group.bench_function("copy", |bencher| {
        bencher.iter(|| {
            lent.copy_from_slice(black_box(&stream.bytes));
            black_box(&mut lent);
        });
    });
}

fn echo(criterion: &mut Criterion) {
    for stream in streams() {
        let mut group = criterion.benchmark_group(&stream.name);
        if stream.frames > 1 {
            group.throughput(Throughput::Elements(stream.frames as u64));
        } else {
            group.throughput(Throughput::Bytes(stream.bytes.len() as u64));
        }
        copy(&mut group, stream);
        run::<Ringback>(&mut group, stream);
        run::<Fastwebsockets>(&mut group, stream);
        run::<Tungstenite>(&mut group, stream);
        run::<TokioWebsockets>(&mut group, stream);
        group.finish();
    }
}

criterion_group!(name = benches; config = support::settings(); targets = echo);
criterion_main!(benches);
