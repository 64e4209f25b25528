//! Serving: addresses bound, a worker started per core, signals waited for.

mod account;
mod bind;
mod http;
mod inbox;
mod job;
mod service;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use crate::choose::{Choice, choose};
use crate::config::{Config, ConfigError, Protocol};
use crate::engine::{Exchange, Stop};
use crate::http::Settings as HttpSettings;
use crate::memory::SlabPool;
use crate::protocol::{Policy, Tally, WallClock};
use crate::shard::{self, Admission, Entrance, Settings};
use crate::sys::{clock, cpu, limits};
use account::Account;
use bind::bind;
pub use inbox::Inbox;
use job::Job;
use service::Service;

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
        let listeners = std::mem::take(&mut listeners[number]);
        let job = Job {
            number,
            engine,
            settings: settings.clone(),
            tally: tally.clone(),
            entrances: vec![entrance(config); listeners.len()],
            listeners,
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
    let mut announcement: Vec<String> = addresses
        .iter()
        .map(|address| format!("listening on {}://{address}", scheme(config.protocol)))
        .collect();
    announcement.push(format!(
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
    ));
    let account = Account {
        tallies,
        budget: settings.budget,
        connections_max: config.connections_max,
        http: http.sender(),
    };
    let service = Service {
        engine,
        workers,
        stop,
        http,
        account,
        announcement,
    };
    service.run(inbox)
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
