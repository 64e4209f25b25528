//! Serving: addresses bound, a worker started per core, signals waited for.

mod account;
mod admin;
mod bind;
mod http;
mod inbox;
mod job;
mod listeners;
mod manager;
mod secrets;
mod service;
mod succession;
mod tls;

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing::{info, warn};

use crate::admin::Sources;
use crate::choose::{Choice, choose};
use crate::config::{Config, ConfigError};
use crate::engine::{Exchange, Stop};
use crate::http::Settings as HttpSettings;
use crate::memory::SlabPool;
use crate::protocol::{Policy, Tally, WallClock};
use crate::shard::{Admission, Settings};
use crate::sys::{clock, cpu, limits};
use account::Account;
use admin::Desk;
use bind::{Bound, bind, entrance};
pub use inbox::Inbox;
use job::Job;
use service::{Service, Succession};
use succession::{Estate, Inheritance, Program};
use tls::Keeper;

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
    /// The process that has started this one as its successor wants none any more.
    Orphaned,
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
    // While its file has its name.
    let program = Program::of_this_process();
    let supervisor_is_deaf = manager::is_deaf();
    let files = limits::raise_open_files();
    let workers = config.workers.get();
    let mut inheritance = Inheritance::claim()?;
    let open = match &mut inheritance {
        Some(inheritance) => std::mem::take(&mut inheritance.listeners),
        None => manager::activated()?,
    };
    let prepared = choose(config.engine, &config.uring)
        .map_err(ServeError::from)
        .and_then(|choice| {
            let tls = Keeper::open(config)?;
            let admin = config.admin.as_ref();
            let admin = admin.map(|it| admin::listen(it, inheritance.is_some()));
            let admin = admin.transpose()?;
            Ok((choice, tls, bind(config, workers, open, inbox)?, admin))
        });
    if inbox.is_told_within(Duration::ZERO) {
        info!("stopping: told to before serving");
        return Ok(());
    }
    let (choice, mut tls, bound, admin) = prepared?;
    let Bound {
        addresses,
        listeners,
        unused,
    } = bound;
    let Choice {
        engine,
        why,
        warnings,
    } = choice;
    for warning in warnings {
        warn!("{warning}");
    }
    let stop = Arc::new(Stop::new(workers, config.drain_timeout)?);
    // Until the process before this one says so, it is the one that accepts.
    stop.set_accepting(inheritance.is_none());
    if let Some(tls) = &mut tls {
        tls.watch()?;
    }
    let settings = settings(config, tls.as_ref())?;
    let secrets = secrets::Keeper::of(config, &settings.policy);
    let (http, exchange) = http::join(
        Exchange::new(&stop, config.balance, config.connections_max)
            .with_entrances(listeners.addresses()),
        entrance(config.protocol, false),
        &settings.policy,
        config.http.clone(),
        inbox.events(),
    )?;
    let cpus = if config.pin {
        cpu::allowed()?
    } else {
        Vec::new()
    };
    let tallies: Vec<Arc<Tally>> = (0..workers)
        .map(|_| Arc::new(Tally::new(listeners.names())))
        .collect();
    let shares = listeners.share_out(workers)?;
    let entrances = listeners.entrances(workers, |tls| entrance(config.protocol, tls));
    for ((number, tally), listeners) in tallies.iter().enumerate().zip(shares) {
        let job = Job {
            number,
            engine,
            settings: settings.clone(),
            tally: tally.clone(),
            entrances: entrances.clone(),
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
        .map(|address| format!("listening on {address}"))
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
    let estate = Estate {
        program,
        listeners,
        exchange: exchange.clone(),
        stop: stop.clone(),
        admission: settings.admission,
        workers,
        counters: Arc::default(),
    };
    let mut sources = Sources::new(
        tallies,
        settings.budget,
        stop.clone(),
        exchange,
        engine.name,
    );
    sources.connections_max = config.connections_max;
    sources.http = http.sender();
    sources.build = (env!("CARGO_PKG_VERSION"), env!("SOURCE_COMMIT"));
    sources.config = config.said.0.clone();
    sources.handovers = estate.counters.clone();
    sources.tls_reloads = tls.as_ref().map(Keeper::reloads);
    let sources = Arc::new(sources);
    let desk = Desk::open(admin, &sources)?;
    let service = Service {
        engine,
        workers,
        stop,
        http,
        tls,
        secrets,
        account: Account(sources),
        desk,
        announcement,
        estate: Arc::new(estate),
        succession: inheritance.map_or(Succession::None, |inheritance| {
            Succession::Inherits(inheritance, unused)
        }),
        drain_delay: config.drain_delay,
        goodbye: config.goodbye,
        supervisor_is_deaf,
        watchdog: None,
    };
    service.run(inbox)
}

fn settings(config: &Config, tls: Option<&Keeper>) -> Result<Settings, ConfigError> {
    Ok(Settings {
        policy: Policy {
            wall_clock: Some(WallClock(clock::since_1970)),
            http: config.http.is_some(),
            elsewhere: config
                .http
                .as_ref()
                .map(HttpSettings::elsewhere)
                .unwrap_or_default(),
            guests: config.guests.policy(clock::now)?,
            ..config.policy.clone()
        },
        budget: SlabPool::budget(config.buffer_memory_bytes, config.workers.get()),
        admission: Arc::new(Admission::new(config.connections_max)),
        tls: tls.map(Keeper::acceptor),
    })
}
