//! What the protocol costs in memory alone: no socket, no system call.
//!
//! `cargo bench --bench session`. Each stream is copied into a lent buffer and answered by one call of
//! [`Session::receive`]; the copy alone is measured beside it (`copy/...`), to be subtracted.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
};
use ringback::protocol::{Moment, Policy, Reply, Session, SlabPool, Tally, Turn};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost:3000\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// One masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x1F, 0x2E, 0x3D, 0x4C];
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65536 => {
            frame.push(0xFE);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0xFF);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    frame
}

/// A session with what it needs around it.
struct Bench {
    session: Session,
    slabs: SlabPool,
    tally: Tally,
    policy: Policy,
}

impl Bench {
    fn new() -> Self {
        let policy = Policy::default();
        let session = Session::open(&policy, Moment::from_nanos(0));
        Bench {
            session,
            slabs: SlabPool::new(1 << 20),
            tally: Tally::default(),
            policy,
        }
    }

    fn upgraded() -> Self {
        let mut bench = Bench::new();
        bench.receive(&mut REQUEST.to_vec());
        bench
    }

    fn receive(&mut self, lent: &mut [u8]) -> usize {
        let mut reply = Reply::default();
        let mut turn = Turn {
            now: Moment::from_nanos(1),
            policy: &self.policy,
            slabs: &mut self.slabs,
            tally: &self.tally,
            room: 0,
            refusing: false,
        };
        self.session.receive(&mut turn, lent, &mut reply);
        reply.window.len()
    }
}

fn echo(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, stream: &[u8]) {
    let mut bench = Bench::upgraded();
    let mut lent = stream.to_vec();
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            lent.copy_from_slice(stream);
            black_box(bench.receive(black_box(&mut lent)))
        });
    });
    group.bench_function(format!("copy/{name}"), |bencher| {
        bencher.iter(|| {
            lent.copy_from_slice(black_box(stream));
            black_box(&mut lent);
        });
    });
}

fn echoes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("echo");
    group
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    for (count, bytes) in [
        (1, 16),
        (16, 32),
        (256, 16),
        (1, 1 << 10),
        (1, 1 << 16),
        (1, 1 << 20),
    ] {
        let stream = frame(BINARY, &vec![0xA5; bytes]).repeat(count);
        echo(&mut group, &format!("binary {count} x {bytes} B"), &stream);
    }
    for (name, character) in [("ASCII", "a"), ("three-byte", "€")] {
        let text = character.repeat((1 << 16) / character.len());
        echo(
            &mut group,
            &format!("text 64 KiB {name}"),
            &frame(TEXT, text.as_bytes()),
        );
    }
    group.finish();
}

fn handshake(criterion: &mut Criterion) {
    criterion.bench_function("handshake", |bencher| {
        bencher.iter_batched(
            || (Bench::new(), REQUEST.to_vec()),
            |(mut bench, mut lent)| bench.receive(&mut lent),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, echoes, handshake);
criterion_main!(benches);
