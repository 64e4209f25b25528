//! Connections that go from worker to worker while their peers talk.

use std::io::{Read, Write};
use std::panic::catch_unwind;
use std::thread;
use std::time::Duration;

use ringback::engine::{Engine, Goodbye};
use ringback::protocol::Policy;
use ringback::protocol::policy::GreetingAfter;
use ringback::shard::{Destination, Protocol};

use crate::crew::{Crew, assert_echoes, on_every_engine, present};
use crate::support::random::Random;
use crate::support::server::{PATIENCE, until};
use crate::talk::Talk;

/// Seeds tried by default, on each engine.
const SEEDS: u64 = 8;

/// Peers of one seed, who talk at the same time.
const PEERS: usize = 12;

fn option(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// `MOVES_SEED` names the first seed, and then the only one unless `MOVES_SEEDS` says how many. A seed decides
/// what everybody does, but not when the kernel lets them: it may have to be tried more than once.
#[test]
fn no_peer_can_tell_that_it_is_put_down_and_picked_up() {
    let first = option("MOVES_SEED");
    let seeds = option("MOVES_SEEDS").unwrap_or(first.map_or(SEEDS, |_| 1));
    on_every_engine(|engine| {
        for seed in (first.unwrap_or(0)..).zip(0..seeds).map(|(seed, _)| seed) {
            if catch_unwind(|| move_talkers(engine, seed)).is_err() {
                panic!(
                    "seed {seed}, {}; again:\n  MOVES_SEED={seed} cargo test --test workers no_peer",
                    engine.name
                );
            }
        }
    });
}

/// What a seed makes: a policy, peers that talk, and moments at which all connections of a worker are put down
/// for the other, or for itself.
fn move_talkers(engine: &'static Engine, seed: u64) {
    let mut random = Random::new(seed);
    let policy = policy(&mut random);
    let talks: Vec<_> = (0..PEERS)
        .map(|_| Talk::new(&mut random, &policy))
        .collect();
    let crew = Crew::of(engine, 2, Protocol::WebSocket, policy);
    let rest = random.pick(&[100, 500, 2000, 8000]);
    thread::scope(|scope| {
        let talk = |talk: &Talk| {
            let held = talk.hold(crew.address);
            held.unwrap_or_else(|why| panic!("{why}\n{talk:?}"));
        };
        let peers = talks.iter().map(|it| scope.spawn(move || talk(it)));
        let peers: Vec<_> = peers.collect();
        while peers.iter().any(|peer| !peer.is_finished()) {
            let (from, to) = (random.within(0..2), random.below(2) as u16);
            crew.exchange.put_down(from, Destination::Worker(to));
            thread::sleep(Duration::from_micros(random.below(rest)));
        }
    });
    until("all are gone", || {
        let left = crew.present() + crew.admission.present() as u64;
        (left == 0).then_some(())
    });
    let accepted = crew.accepted();
    assert_eq!(crew.total(|it| it.ended.get()), accepted);
    let put_down = crew.total(|it| it.put_down.get());
    assert_eq!(crew.total(|it| it.picked_up.get()), put_down);
    assert!(put_down > 0, "none has moved");
    crew.stop.drain(Goodbye::default());
    // A worker whose connections are all gone panics if some of their memory is not back.
    crew.join();
}

fn policy(random: &mut Random) -> Policy {
    let greeting = random.one_in(2).then(|| "Hi there".to_owned());
    let prefix = random.one_in(2).then(|| "Received: ".into());
    let after = Duration::from_millis(random.below(20));
    Policy {
        message_bytes_max: random.pick(&[None, None, Some(20_000)]),
        // Who reads late on a busy machine is waited for.
        linger_timeout: 2 * PATIENCE,
        greeting,
        greeting_after: random.pick(&[
            GreetingAfter::Handshake,
            GreetingAfter::Turn,
            GreetingAfter::Delay(after),
        ]),
        prefix,
        ..Policy::default()
    }
}

#[test]
fn whoever_is_put_down_in_the_middle_of_anything_is_picked_up_by_the_other() {
    const STREAM_BYTES: usize = 4 << 20;
    on_every_engine(|engine| {
        let crew = Crew::start(engine, 2);
        let moves = crew.exchange.clone();
        let talkers: Vec<_> = (0..8_u8)
            .map(|seed| {
                let mut stream = crew.connect();
                assert_echoes(&mut stream);
                thread::spawn(move || {
                    let sent: Vec<u8> = (0..STREAM_BYTES)
                        .map(|place| (place / 251) as u8 ^ seed)
                        .collect();
                    let mut sender = stream.try_clone().expect("a descriptor");
                    let bytes = sent.clone();
                    let sending = thread::spawn(move || sender.write_all(&bytes));
                    let mut echo = vec![0; STREAM_BYTES];
                    stream.read_exact(&mut echo).expect("all of it");
                    sending.join().expect("no panic").expect("all is sent");
                    assert!(echo == sent, "another echo");
                    stream
                })
            })
            .collect();
        while talkers.iter().any(|talker| !talker.is_finished()) {
            for from in 0..2 {
                moves.put_down(from, Destination::Worker(1 - from as u16));
                thread::sleep(Duration::from_millis(2));
            }
        }
        let streams: Vec<_> = talkers.into_iter().map(|it| it.join()).collect();
        let mut streams: Vec<_> = streams.into_iter().map(|it| it.expect("well")).collect();
        for (from, shares) in [(0, [0, 8]), (1, [8, 0])] {
            until("all have moved", || {
                // Again, for those that were on their way.
                moves.put_down(from, Destination::Worker(1 - from as u16));
                let now: Vec<_> = crew.tallies.iter().map(|it| present(it)).collect();
                (now == shares).then_some(())
            });
            streams.iter_mut().for_each(assert_echoes);
        }
        let moved: u64 = crew.tallies.iter().map(|it| it.picked_up.get()).sum();
        assert!(moved > 16, "{}: only {moved} moves", engine.name);
        streams.push(crew.connect());
        assert_echoes(&mut streams[8]);
        assert_eq!(
            present(&crew.tallies[1]),
            1,
            "who has moved counts where it is"
        );
        drop(streams);
        crew.stop.drain(Goodbye::default());
        crew.join();
    });
}
