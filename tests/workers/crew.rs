//! Workers of one engine, in this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ringback::engine::{ENGINES, Engine, Exchange, Stop, UringTuning, Worker, is_absent};
use ringback::memory::SlabPool;
use ringback::protocol::{Policy, Tally};
use ringback::shard::{Admission, Entrance, Protocol, Settings};
use ringback::sys::listen;

use crate::support::server::PATIENCE;

/// Workers that serve together.
pub(crate) struct Crew {
    pub(crate) address: SocketAddr,
    /// The first worker's listener, as another process would have it.
    listener: Option<TcpListener>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) tallies: Vec<Arc<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Workers that send bytes back as they come (RFC 862).
    pub(crate) fn start(engine: &'static Engine, workers: usize) -> Self {
        Self::of(engine, workers, Protocol::Tcp, Policy::default())
    }

    /// Workers that speak `protocol`.
    pub(crate) fn of(
        engine: &'static Engine,
        workers: usize,
        protocol: Protocol,
        policy: Policy,
    ) -> Self {
        let any = "127.0.0.1:0".parse().expect("an address");
        let (address, listeners) =
            listen::listeners(any, true, workers, listen::Manners::default()).expect("listeners");
        let listener = listeners[0].try_clone().expect("a descriptor");
        let stop = Stop::new(workers, PATIENCE).expect("descriptors for wakers");
        let stop = Arc::new(stop);
        let exchange = Arc::new(Exchange::new(&stop, true, None));
        let admission = Arc::new(Admission::new(None));
        let settings = Settings {
            policy,
            budget: SlabPool::budget(64 << 20, workers),
            admission: admission.clone(),
            tls: None,
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
                        protocol,
                        tls: false,
                        number: 0,
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
            admission,
            tallies,
            threads,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("someone listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Whom another process accepts on the first worker's listener once it competes for them.
    pub(crate) fn succeed(&mut self) -> mpsc::Receiver<TcpStream> {
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

    /// What all workers have counted together.
    pub(crate) fn total(&self, count: impl Fn(&Tally) -> u64) -> u64 {
        self.tallies.iter().map(|tally| count(tally)).sum()
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.total(|tally| tally.accepted.get())
    }

    pub(crate) fn present(&self) -> u64 {
        self.total(present)
    }

    pub(crate) fn join(self) {
        for thread in self.threads {
            thread.join().expect("the worker ends well");
        }
    }
}

/// What one worker serves now.
pub(crate) fn present(tally: &Tally) -> u64 {
    let gone = tally.ended.get() + tally.put_down.get();
    tally.accepted.get() + tally.picked_up.get() - gone
}

pub(crate) fn assert_echoes(stream: &mut TcpStream) {
    stream.write_all(b"ring").expect("a connection");
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).expect("an echo");
    assert_eq!(&echo, b"ring");
}

/// Runs `case` on every engine that this machine has.
pub(crate) fn on_every_engine(case: impl Fn(&'static Engine)) {
    for engine in ENGINES {
        // On a thread of its own: the end of a ring interrupts whatever its thread waits for then.
        let probe = thread::spawn(|| (engine.probe)(&UringTuning::default()));
        match probe.join().expect("an answer") {
            Ok(_) => case(engine),
            Err(error) if is_absent(&error) => {
                eprintln!("left out on this machine: {}: {error}", engine.name);
            }
            Err(error) => panic!("{}: {error}", engine.name),
        }
    }
}
