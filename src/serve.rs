//! Serving: addresses bound, a worker started per core, signals waited for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use crate::choose::{choose, is_short_of_memory, refusal};
use crate::config::{Config, ConfigError, Listen, Protocol};
use crate::engine::{Engine, Stop, Worker};
use crate::protocol::{Policy, SlabPool, Tally, WallClock};
use crate::shard::{self, Admission, Settings};
use crate::sys::{clock, cpu, limits, listen};

/// Why serving ended, other than by being told to.
#[derive(Debug)]
pub enum ServeError {
    /// The operator has to change something.
    Config(ConfigError),
    /// A worker died, and took the process with it: never a silently dead core.
    Worker {
        /// Which one.
        number: usize,
        /// What it died of.
        cause: String,
    },
    /// The system refused something that serving needs.
    System(io::Error),
}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> Self {
        ServeError::Config(error)
    }
}

impl From<io::Error> for ServeError {
    fn from(error: io::Error) -> Self {
        ServeError::System(error)
    }
}

/// What the main thread waits for.
enum Event {
    Ready,
    Ended(usize, io::Result<()>),
    Signal(i32),
}

/// Serves until a signal says otherwise. A second signal ends the process at once.
///
/// # Errors
/// What the operator has to change, or what a worker died of.
pub fn serve(config: &Config) -> Result<(), ServeError> {
    let files = limits::raise_open_files();
    let (engine, why) = choose(config.engine, &config.uring)?;
    let workers = config.workers.get();
    let (addresses, mut listeners) = bind(config, workers)?;
    let stop = Arc::new(Stop::new(workers, config.drain_timeout)?);
    let (events, inbox) = mpsc::channel();
    watch_signals(events.clone())?;
    let settings = settings(config);
    let cpus = if config.pin {
        cpu::allowed()?
    } else {
        Vec::new()
    };
    let tallies: Vec<Arc<Tally>> = (0..workers).map(|_| Arc::default()).collect();
    for (number, tally) in tallies.iter().enumerate() {
        let job = Job {
            number,
            engine,
            settings: settings.clone(),
            tally: tally.clone(),
            listeners: std::mem::take(&mut listeners[number]),
            stop: stop.clone(),
            tuning: config.uring,
            cpu: cpus.get(number).copied(),
            events: events.clone(),
        };
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || job.run())?;
    }
    await_ready(&inbox, workers, engine)?;
    for address in addresses {
        info!("listening on {}://{address}", scheme(config.protocol));
    }
    info!(
        "engine {} ({why}), {workers} {}{}, up to {} open files",
        engine.name,
        if workers == 1 { "worker" } else { "workers" },
        if config.pin {
            ", each on a CPU of its own"
        } else {
            ""
        },
        files
            .soft
            .map_or("any number of".to_owned(), |files| files.to_string()),
    );
    let served = await_end(&inbox, workers, &stop);
    let sum = |count: fn(&Tally) -> u64| tallies.iter().map(|tally| count(tally)).sum::<u64>();
    info!(
        "served {} connections and {} messages",
        sum(|tally| tally.accepted.get()),
        sum(|tally| tally.messages.get()),
    );
    served
}

fn settings(config: &Config) -> Settings {
    Settings {
        protocol: match config.protocol {
            Protocol::WebSocket => shard::Protocol::WebSocket,
            Protocol::Tcp => shard::Protocol::Tcp,
        },
        policy: Policy {
            wall_clock: Some(WallClock(clock::since_1970)),
            ..config.policy.clone()
        },
        budget: SlabPool::budget(config.buffer_memory_bytes, config.workers.get()),
        admission: Arc::new(Admission::new(config.connections_max)),
    }
}

fn scheme(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::WebSocket => "ws",
        Protocol::Tcp => "tcp",
    }
}

/// The addresses served, and each worker's listeners.
type Bound = (Vec<SocketAddr>, Vec<Vec<TcpListener>>);

/// Binds every address once per worker.
fn bind(config: &Config, workers: usize) -> Result<Bound, ConfigError> {
    let congestion_control = config.congestion_control.as_deref();
    if let Some(name) = congestion_control {
        listen::check_congestion_control(name).map_err(|error| {
            ConfigError::new(
                "--congestion-control",
                format!("the kernel refuses `{name}`: {error}"),
                format!("available here: {}", listen::congestion_controls()),
            )
        })?;
    }
    let mut addresses = Vec::new();
    let mut per_worker: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for Listen { address, optional } in &config.listen {
        match listen::listeners(*address, workers, congestion_control) {
            Ok((address, listeners)) => {
                addresses.push(address);
                for (worker, listener) in per_worker.iter_mut().zip(listeners) {
                    worker.push(listener);
                }
            }
            Err(error) if *optional && listen::is_family_absent(&error) => {
                info!("not listening on {address}: this host has no such address");
            }
            Err(error) => return Err(unusable(*address, &error)),
        }
    }
    if addresses.is_empty() {
        let problem = "none of the addresses exists on this host";
        return Err(ConfigError::new("--listen", problem, "name one that does"));
    }
    Ok((addresses, per_worker))
}

fn unusable(address: SocketAddr, error: &io::Error) -> ConfigError {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there: stop it, or choose another port"
        }
        io::ErrorKind::AddrNotAvailable => "choose an address that this host has",
        io::ErrorKind::PermissionDenied => {
            "choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
        }
        _ => "choose an address that can be listened on",
    };
    ConfigError::new(
        "--listen",
        format!("cannot listen on {address}: {error}"),
        remedy,
    )
}

/// Passes signals on to the main thread.
fn watch_signals(events: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if events.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
    Ok(())
}

/// A worker's thread.
struct Job {
    number: usize,
    engine: &'static Engine,
    settings: Settings,
    tally: Arc<Tally>,
    listeners: Vec<TcpListener>,
    stop: Arc<Stop>,
    tuning: crate::config::UringTuning,
    cpu: Option<usize>,
    events: Sender<Event>,
}

impl Job {
    fn run(self) {
        let events = self.events.clone();
        let mut last_words = LastWords {
            number: self.number,
            outcome: Err(io::Error::other("it panicked")),
            events: self.events.clone(),
        };
        if let Some(cpu) = self.cpu
            && let Err(error) = cpu::pin(cpu)
        {
            warn!(
                "worker {} cannot be kept on CPU {cpu}: {error}",
                self.number
            );
        }
        let worker = Worker {
            number: self.number,
            settings: self.settings,
            tally: self.tally,
            listeners: self.listeners,
            stop: &self.stop,
            tuning: self.tuning,
        };
        let ready = || {
            // Nobody listens any more only where another worker has died already.
            let _ = events.send(Event::Ready);
        };
        last_words.outcome = (self.engine.run)(&worker, &ready);
    }
}

/// Tells the main thread that a worker has ended, however it did.
struct LastWords {
    number: usize,
    outcome: io::Result<()>,
    events: Sender<Event>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        let _ = self.events.send(Event::Ended(self.number, outcome));
    }
}

/// Waits until every worker serves.
fn await_ready(inbox: &Receiver<Event>, workers: usize, engine: &Engine) -> Result<(), ServeError> {
    let mut ready = 0;
    while ready < workers {
        match inbox.recv() {
            Ok(Event::Ready) => ready += 1,
            // One ring was to be had when the engine was chosen, and now there are more of them.
            Ok(Event::Ended(_, Err(error))) if is_short_of_memory(&error) => {
                return Err(refusal(engine, &error).into());
            }
            Ok(Event::Ended(number, outcome)) => return Err(died(number, outcome)),
            Ok(Event::Signal(signal)) => std::process::exit(128 + signal),
            Err(_) => break,
        }
    }
    Ok(())
}

/// Waits for a signal, and then for every worker to say goodbye.
fn await_end(inbox: &Receiver<Event>, workers: usize, stop: &Stop) -> Result<(), ServeError> {
    let mut serving = workers;
    let mut draining = false;
    while serving > 0 {
        match inbox.recv() {
            Ok(Event::Signal(signal)) if draining => std::process::exit(128 + signal),
            Ok(Event::Signal(_)) => {
                draining = true;
                stop.drain();
                info!(
                    "stopping: closing connections, for at most {:?}",
                    stop.drain_timeout
                );
            }
            Ok(Event::Ended(_, Ok(()))) if draining => serving -= 1,
            Ok(Event::Ended(number, outcome)) => return Err(died(number, outcome)),
            Ok(Event::Ready) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

fn died(number: usize, outcome: io::Result<()>) -> ServeError {
    let cause = match outcome {
        Ok(()) => "it stopped without being told to".to_owned(),
        Err(error) => error.to_string(),
    };
    ServeError::Worker { number, cause }
}
