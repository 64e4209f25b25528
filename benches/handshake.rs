//! The upgrade: a request in, its 101 out, from a connection just accepted to one that takes frames.

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

use support::handshakes::{BROWSER, MINIMAL, RIVALS, check};
use support::memory::Memory;
use support::ours::Worker;

fn handshake(criterion: &mut Criterion) {
    for (name, request) in [("minimal", MINIMAL), ("browser", BROWSER)] {
        let mut group = criterion.benchmark_group(format!("handshake {name}"));
        let mut worker = Worker::new();
        let mut lent = request.to_vec();
        let mut session = worker.accept();
        check(worker.receive(&mut session, &mut lent)).expect("a right reply");
        group.bench_function("ringback", |bencher| {
            bencher.iter(|| {
                lent.copy_from_slice(request);
                let mut session = worker.accept();
                black_box(worker.receive(&mut session, &mut lent));
                session
            });
        });
        for (rival, accept) in RIVALS {
            let replied = accept(Memory::once(request).keeping());
            check(&replied.into_replies()).expect(rival);
            group.bench_function(rival, |bencher| {
                bencher.iter(|| accept(Memory::once(request)));
            });
        }
        group.finish();
    }
}

criterion_group!(name = benches; config = support::settings(); targets = handshake);
criterion_main!(benches);
