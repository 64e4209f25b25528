//! Workers in this process, over loopback: what their operator's hand and each other do to them.
//!
//! | file | what is in it |
//! |---|---|
//! | `crew.rs` | workers that are started, watched and ended |
//! | `moves.rs` | connections that go from worker to worker while their peers talk |
//! | `talk.rs` | what such a peer says, how it behaves, and what it must be answered |

#[path = "../support/mod.rs"]
mod support;

mod crew;
mod moves;
mod talk;

use std::io::Read;
use std::net::TcpStream;

use crew::{Crew, assert_echoes, on_every_engine, present};
use ringback::engine::Goodbye;
use support::server::until;

#[test]
fn a_successor_gets_whoever_comes_once_accepting_is_over() {
    const COME: u64 = 20;
    // They come while the worker hears of it.
    const LATE_MAX: u64 = 2;
    on_every_engine(|engine| {
        let mut crew = Crew::start(engine, 1);
        let mut resident = crew.connect();
        assert_echoes(&mut resident);
        crew.stop.set_accepting(false);
        let theirs = crew.succeed();
        let mut succeeded = Vec::new();
        let mut come = Vec::new();
        for number in 0..COME {
            if number == COME / 2 {
                assert_echoes(&mut resident);
                crew.stop.drain(Goodbye::default());
            }
            come.push(crew.connect());
            until("someone accepts", || {
                succeeded.extend(theirs.try_iter());
                let accepted = crew.accepted() - 1 + succeeded.len() as u64;
                (accepted > number).then_some(())
            });
        }
        let late = crew.accepted() - 1;
        assert!(late <= LATE_MAX, "{}: {late} of {COME}", engine.name);
        assert_eq!(resident.read(&mut [0]).expect("a goodbye"), 0);
        drop((resident, come));
        crew.join();
    });
}

#[test]
fn two_workers_have_thirty_two_connections_each_of_sixty_four() {
    on_every_engine(|engine| {
        let crew = Crew::start(engine, 2);
        let mut random = 1_u64;
        let mut streams: Vec<TcpStream> = Vec::new();
        for round in 0..20 {
            while streams.len() < 64 {
                streams.push(crew.connect());
            }
            streams.iter_mut().for_each(assert_echoes);
            let shares: Vec<_> = crew.tallies.iter().map(|it| present(it)).collect();
            assert_eq!(shares, [32, 32], "{}, round {round}", engine.name);
            for _ in 0..32 {
                // A linear congruential generator (Knuth's MMIX): any half may leave.
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                streams.swap_remove((random >> 33) as usize % streams.len());
            }
            until("half have left", || (crew.present() == 32).then_some(()));
        }
        drop(streams);
        crew.stop.drain(Goodbye::default());
        crew.join();
    });
}

#[test]
fn whoever_comes_in_a_drain_is_answered_and_counted() {
    on_every_engine(|engine| {
        let crew = Crew::start(engine, 4);
        let mut resident = crew.connect();
        assert_echoes(&mut resident);
        let comers: Vec<_> = (0..200)
            .map(|number| {
                if number == 100 {
                    crew.stop.drain(Goodbye::default());
                }
                crew.connect()
            })
            .collect();
        for (number, mut comer) in comers.into_iter().enumerate() {
            let read = comer.read(&mut [0]);
            assert!(
                matches!(read, Ok(0)),
                "{}: comer {number}: {read:?}",
                engine.name
            );
        }
        drop(resident);
        let tallies = crew.tallies.clone();
        crew.join();
        let left: Vec<_> = tallies.iter().map(|it| present(it)).collect();
        assert_eq!(left, [0; 4], "{}", engine.name);
    });
}
