//! Serving: addresses bound, a worker started per core, signals waited for.

mod account;
mod http;
mod inbox;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::choose::{Choice, choose, is_shortage, refusal};
use crate::config::{Config, ConfigError, Listen, Protocol};
use crate::engine::{Engine, Exchange, Stop, Worker};
use crate::http::Settings as HttpSettings;
use crate::memory::SlabPool;
use crate::protocol::{Policy, Tally, WallClock};
use crate::shard::{self, Admission, Entrance, Settings};
use crate::sys::{clock, cpu, limits, listen};
use account::Account;
pub use inbox::Inbox;
use inbox::{Event, Events};

/// How long an address that is in use is tried again: the kernel closes the listeners of a process that
/// was killed only with its rings, which is after it has ended.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried.
const BINDS_APART: Duration = Duration::from_millis(20);

/// What follows a signal within this time is the same wish: `timeout` and other wrappers signal the process
/// and then its group, which the process is in.
const REPEAT_AFTER: Duration = Duration::from_millis(250);

/// Why serving ended, other than by being told to.
#[derive(Debug)]
pub enum ServeError {
    /// The operator has to change something.
    Config(ConfigError),
    /// An address is not to be had now; it may be later, with nothing changed.
    Listen(ConfigError),
    /// A worker died, and took the process with it: never a silently dead core.
    Worker {
        /// Which one.
        number: usize,
        /// What it died of.
        cause: String,
    },
    /// The thread of the HTTP side panicked, and took the process with it.
    Http,
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

/// Serves until a signal says otherwise. A second signal ends the process at once, unless it comes on the
/// heels of the first.
///
/// # Errors
/// What the operator has to change, or what a worker died of.
pub fn serve(config: &Config, inbox: &mut Inbox) -> Result<(), ServeError> {
    let files = limits::raise_open_files();
    let workers = config.workers.get();
    let prepared = choose(config.engine, &config.uring)
        .map_err(ServeError::from)
        .and_then(|choice| Ok((choice, bind(config, workers, inbox)?)));
    if inbox.is_told_within(Duration::ZERO) {
        info!("stopping: told to before serving");
        return Ok(());
    }
    let (choice, (addresses, mut listeners)) = prepared?;
    let Choice {
        engine,
        why,
        warnings,
    } = choice;
    for warning in warnings {
        warn!("{warning}");
    }
    let stop = Arc::new(Stop::new(workers, config.drain_timeout)?);
    let settings = settings(config);
    let (http, exchange) = http::join(
        Exchange::new(&stop, config.balance, config.connections_max),
        entrance(config),
        &settings.policy,
        config.http.clone(),
        inbox.events(),
    )?;
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
            entrance: entrance(config),
            stop: stop.clone(),
            exchange: exchange.clone(),
            tuning: config.uring,
            cpu: cpus.get(number).copied(),
            events: inbox.events(),
        };
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || job.run())?;
    }
    let announce = || {
        for address in &addresses {
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
    };
    let drain = || {
        stop.drain();
        http.drain();
        info!(
            "stopping: closing connections, for at most {:?}",
            stop.drain_timeout
        );
        Instant::now()
    };
    let account = Account {
        tallies,
        budget: settings.budget,
        connections_max: config.connections_max,
        http: http.sender(),
    };
    let tell = || {
        info!("holds {}", account.holdings());
        info!("so far {}", account.done());
    };
    let served = supervise(inbox, workers, engine, drain, announce, tell);
    let since = served
        .as_ref()
        .ok()
        .map_or(Duration::MAX, |told| told.elapsed());
    http.finish(stop.drain_timeout.saturating_sub(since));
    info!("{}", account.done());
    served.map(|_| ())
}

fn settings(config: &Config) -> Settings {
    Settings {
        policy: Policy {
            wall_clock: Some(WallClock(clock::since_1970)),
            http: config.http.is_some(),
            elsewhere: config
                .http
                .as_ref()
                .map(HttpSettings::elsewhere)
                .unwrap_or_default(),
            ..config.policy.clone()
        },
        budget: SlabPool::budget(config.buffer_memory_bytes, config.workers.get()),
        admission: Arc::new(Admission::new(config.connections_max)),
    }
}

fn entrance(config: &Config) -> Entrance {
    Entrance {
        protocol: match config.protocol {
            Protocol::WebSocket => shard::Protocol::WebSocket,
            Protocol::Tcp => shard::Protocol::Tcp,
        },
    }
}

fn scheme(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::WebSocket => "ws",
        Protocol::Tcp => "tcp",
    }
}

/// The addresses served, for people, and each worker's listeners.
type Bound = (Vec<String>, Vec<Vec<TcpListener>>);

/// Binds every address once per worker. A signal cuts the waiting for an address short.
fn bind(config: &Config, workers: usize, inbox: &mut Inbox) -> Result<Bound, ServeError> {
    let manners = listen::Manners {
        congestion_control: config.congestion_control.as_deref(),
        buffer_bytes: config.socket_buffer_bytes,
    };
    if let Some(name) = manners.congestion_control {
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
    let mut patience = BIND_PATIENCE;
    for wanted in &config.listen {
        let address = wanted.address;
        let started = Instant::now();
        let mut bound = listen::listeners(address, wanted.only_v6, workers, manners);
        if is_in_use(&bound) && !patience.is_zero() {
            info!("{address} is in use: trying again for {patience:?}");
        }
        while is_in_use(&bound)
            && started.elapsed() < patience
            && !inbox.is_told_within(BINDS_APART)
        {
            bound = listen::listeners(address, wanted.only_v6, workers, manners);
        }
        patience = patience.saturating_sub(started.elapsed());
        match bound {
            Ok((address, listeners)) => {
                addresses.push(format!("{address}{}", families(wanted)));
                for (worker, listener) in per_worker.iter_mut().zip(listeners) {
                    worker.push(listener);
                }
            }
            Err(error) if wanted.optional && listen::is_family_absent(&error) => {
                info!("not listening on {address}: this host has no such address");
            }
            Err(error) => return Err(ServeError::Listen(unusable(address, &error))),
        }
    }
    if addresses.is_empty() {
        let problem = "none of the addresses exists on this host";
        let error = ConfigError::new("--listen", problem, "name one that does");
        return Err(ServeError::Listen(error));
    }
    Ok((addresses, per_worker))
}

fn is_in_use<T>(bound: &io::Result<T>) -> bool {
    matches!(bound, Err(error) if error.kind() == io::ErrorKind::AddrInUse)
}

/// Whom a wildcard of IPv6 lets in, which its text does not tell.
fn families(listen: &Listen) -> &'static str {
    if !(listen.address.is_ipv6() && listen.address.ip().is_unspecified()) {
        ""
    } else if listen.only_v6 {
        " (IPv6 only)"
    } else {
        " (IPv6 and IPv4)"
    }
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

/// A worker's thread.
struct Job {
    number: usize,
    engine: &'static Engine,
    settings: Settings,
    tally: Arc<Tally>,
    listeners: Vec<TcpListener>,
    entrance: Entrance,
    stop: Arc<Stop>,
    exchange: Arc<Exchange>,
    tuning: crate::engine::UringTuning,
    cpu: Option<usize>,
    events: Events,
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
            entrances: vec![self.entrance; self.listeners.len()],
            listeners: self.listeners,
            stop: &self.stop,
            exchange: self.exchange,
            tuning: self.tuning,
        };
        let ready = || {
            events.send(Event::Ready);
        };
        last_words.outcome = (self.engine.run)(&worker, &ready);
    }
}

/// Tells the main thread that a worker has ended, however it did.
struct LastWords {
    number: usize,
    outcome: io::Result<()>,
    events: Events,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Ok(()));
        self.events.send(Event::Ended(self.number, outcome));
    }
}

/// Waits for every worker to serve, which is announced, for a signal, upon which all are to `drain`, and for every
/// worker to say goodbye. A signal that comes before all of them serve is obeyed once they do. When it came.
/// Whoever asks meanwhile how things stand is to be told.
fn supervise(
    inbox: &Inbox,
    workers: usize,
    engine: &Engine,
    drain: impl Fn() -> Instant,
    announce: impl Fn(),
    tell: impl Fn(),
) -> Result<Instant, ServeError> {
    let (mut starting, mut serving) = (workers, workers);
    let mut told: Option<Instant> = None;
    while serving > 0 {
        match inbox.next() {
            Event::Ready => {
                starting -= 1;
                if starting == 0 && told.is_none() {
                    announce();
                }
            }
            Event::Signal(signal) => match told {
                None => told = Some(drain()),
                Some(first) if first.elapsed() < REPEAT_AFTER => {}
                Some(_) => std::process::exit(128 + signal),
            },
            Event::Asked => tell(),
            Event::Ended(_, Ok(())) if told.is_some() => serving -= 1,
            // One ring was to be had when the engine was chosen, and now there are more of them.
            Event::Ended(_, Err(error)) if starting > 0 && is_shortage(&error) => {
                return Err(refusal(engine, &error).into());
            }
            Event::Ended(number, outcome) => return Err(died(number, outcome)),
            Event::HttpPanicked => return Err(ServeError::Http),
        }
    }
    Ok(told.unwrap_or_else(Instant::now))
}

fn died(number: usize, outcome: io::Result<()>) -> ServeError {
    let cause = match outcome {
        Ok(()) => "it stopped without being told to".to_owned(),
        Err(error) => error.to_string(),
    };
    ServeError::Worker { number, cause }
}
