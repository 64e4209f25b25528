//! Workers in this process, over loopback: what their operator's hand and each other do to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ringback::engine::{ENGINES, Engine, Stop, UringTuning, Worker, is_absent};
use ringback::memory::SlabPool;
use ringback::protocol::{Policy, Tally};
use ringback::shard::{Admission, Entrance, Protocol, Settings};
use ringback::sys::listen;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Workers of one engine that send bytes back as they come (RFC 862).
struct Crew {
    address: SocketAddr,
    /// The first worker's listener, as another process would have it.
    listener: Option<TcpListener>,
    stop: Arc<Stop>,
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
            let ready = ready.clone();
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

    fn join(self) {
        for thread in self.threads {
            thread.join().expect("the worker ends well");
        }
    }
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
