//! Workers in this process, over loopback: what their operator's hand and each other do to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringback::engine::{ENGINES, Engine, Exchange, Stop, UringTuning, Worker, is_absent};
use ringback::memory::SlabPool;
use ringback::protocol::{Policy, Tally};
use ringback::shard::{Admission, Destination, Entrance, Protocol, Settings};
use ringback::sys::listen;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Workers of one engine that send bytes back as they come (RFC 862).
struct Crew {
    address: SocketAddr,
    /// The first worker's listener, as another process would have it.
    listener: Option<TcpListener>,
    stop: Arc<Stop>,
    exchange: Arc<Exchange>,
    tallies: Vec<Arc<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    fn start(engine: &'static Engine, workers: usize) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let (address, listeners) = listen::listeners(any, true, workers, None).expect("listeners");
        let listener = listeners[0].try_clone().expect("a descriptor");
        let stop = Stop::new(workers, PATIENCE).expect("descriptors for wakers");
        let stop = Arc::new(stop);
        let exchange = Arc::new(Exchange::new(&stop, true, None));
        let settings = Settings {
            policy: Policy::default(),
            budget: SlabPool::budget(64 << 20, workers),
            admission: Arc::new(Admission::new(None)),
        };
        let tallies: Vec<Arc<Tally>> = (0..workers).map(|_| Arc::default()).collect();
        let (ready, are_ready) = mpsc::channel();
        let crew = listeners.into_iter().zip(&tallies).enumerate();
        let threads = crew.map(|(number, (listener, tally))| {
            let (stop, tally, settings) = (stop.clone(), tally.clone(), settings.clone());
            let (ready, exchange) = (ready.clone(), exchange.clone());
            thread::spawn(move || {
                let worker = Worker {
                    number,
                    settings,
                    tally,
                    listeners: vec![listener],
                    entrances: vec![Entrance {
                        protocol: Protocol::Tcp,
                    }],
                    stop: &stop,
                    exchange,
                    tuning: UringTuning::default(),
                };
                let serves = || ready.send(()).expect("the test waits");
                (engine.run)(&worker, &serves).expect("the kernel goes on");
            })
        });
        let threads = threads.collect();
        for _ in 0..workers {
            are_ready.recv_timeout(PATIENCE).expect("the worker serves");
        }
        Crew {
            address,
            listener: Some(listener),
            stop,
            exchange,
            tallies,
            threads,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("someone listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Whom another process accepts on the first worker's listener once it competes for them.
    fn succeed(&mut self) -> mpsc::Receiver<TcpStream> {
        let listener = self.listener.take().expect("one successor");
        let (accepted, theirs) = mpsc::channel();
        // An engine decides whether the listener, which is the same, waits.
        thread::spawn(move || {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => {
                        if accepted.send(stream).is_err() {
                            return;
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        theirs
    }

    fn accepted(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.accepted.get()).sum()
    }

    fn present(&self) -> u64 {
        self.tallies.iter().map(|tally| present(tally)).sum()
    }

    fn join(self) {
        for thread in self.threads {
            thread.join().expect("the worker ends well");
        }
    }
}

/// What one worker serves now.
fn present(tally: &Tally) -> u64 {
    let gone = tally.ended.get() + tally.put_down.get();
    tally.accepted.get() + tally.picked_up.get() - gone
}

/// Polls `condition` until it holds.
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn assert_echoes(stream: &mut TcpStream) {
    stream.write_all(b"ring").expect("a connection");
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).expect("an echo");
    assert_eq!(&echo, b"ring");
}

/// Runs `case` on every engine that this machine has.
fn on_every_engine(case: impl Fn(&'static Engine)) {
    for engine in ENGINES {
        match (engine.probe)(&UringTuning::default()) {
            Ok(_) => case(engine),
            Err(error) if is_absent(&error) => {
                eprintln!("left out on this machine: {}: {error}", engine.name);
            }
            Err(error) => panic!("{}: {error}", engine.name),
        }
    }
}

#[test]
fn a_successor_gets_whoever_comes_once_accepting_is_over() {
    const COME: u64 = 20;
    // They come while the worker hears of it.
    const LATE_MAX: u64 = 2;
    on_every_engine(|engine| {
        let mut crew = Crew::start(engine, 1);
        let mut resident = crew.connect();
        assert_echoes(&mut resident);
        crew.stop.stop_accepting();
        let theirs = crew.succeed();
        let mut succeeded = Vec::new();
        let mut come = Vec::new();
        for number in 0..COME {
            if number == COME / 2 {
                assert_echoes(&mut resident);
                crew.stop.drain();
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
        crew.stop.drain();
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
                    crew.stop.drain();
                }
                crew.connect()
            })
            .collect();
        for mut comer in comers {
            assert!(comer.read(&mut [0]).is_ok_and(|count| count == 0));
        }
        drop(resident);
        let tallies = crew.tallies.clone();
        crew.join();
        let left: Vec<_> = tallies.iter().map(|it| present(it)).collect();
        assert_eq!(left, [0; 4], "{}", engine.name);
    });
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
        crew.stop.drain();
        crew.join();
    });
}
