//! The HTTP side: ordinary HTTP on the port of the echo.
//!
//! A worker that finds that a request is no upgrade puts the connection down: a descriptor, and the bytes
//! that were read and not used, in a [`Caller`]. From there on it belongs to the one thread in here, which
//! runs ordinary libraries (axum on hyper, over tokio), off the hot path. Where a kept connection asks for
//! a WebSocket after all, it is given back the same way, the head of that request unread.
//!
//! It can hurt nobody: connections, bytes, and every wait have a bound, and its thread is a nice one. Over
//! a bound a caller is told so, by the thread that brought it, and nothing is kept.
//!
//! ```text
//! take ──> head ──> exchange (hyper, one request) ──> head ──> ... ──> linger ──> gone
//!            ├───> given back: the head is that of an upgrade
//!            └───> kept: an upgrade at a path of ours, for `behaviours` or `socket_io`
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `places` | how many there may be, and who is turned away |
//! | `connection` | one connection: the way above |
//! | `turns` | one at a time of those who have much to do |
//! | `allowance` | how fast somebody may send |
//! | `exchange` | one request and its response |
//! | `head` | whether a head is ordinary, an upgrade, or refused |
//! | `wire` | unread bytes, then the stream; what hyper reads of them |
//! | `stream` | the socket, and the link on it where TLS is spoken |
//! | `routes` | what is answered |
//! | `page` | the page at `/`, and what it may do |
//! | `welcome` | what there is, in words |
//! | `behaviours` | drives the behaviours of `/x`, and lists them |
//! | `inspect`, `sse`, `cors` | `/http`, `/sse`, and that pages of anywhere may read them |
//! | `socket_io` | Socket.IO and Engine.IO, by the library of that name |
//!
//! It may import `behaviour`, `link`, `protocol::handshake` and the policy, whose times it obeys. It must never know an engine, a
//! shard, a session or the configuration's flags.

mod accept;
mod access;
mod allowance;
mod behaviours;
mod connection;
mod cors;
mod exchange;
mod head;
mod inspect;
mod page;
mod places;
mod routes;
mod socket_io;
mod sse;
mod stream;
mod turns;
mod welcome;
mod wire;

use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::behaviour;
use crate::link::Link;
use crate::log::SharedLimit;
use crate::protocol::Policy;
use crate::protocol::guests::Guest;
use crate::protocol::policy::Elsewhere;

use connection::Shared;
use places::{Place, Places};
use turns::Turns;
use welcome::Welcome;

/// The stack of the thread, in bytes. Some 24 KiB of it are used, and memory is taken only as it is touched.
const STACK_BYTES: usize = 512 * 1024;

/// How much the thread yields to others (`nice(2)`): a third of the weight of a worker that wants the same
/// CPU, so a flood of requests cannot take from echoes.
const NICENESS: i32 = 5;

/// The bounds of the HTTP side. What else it waits for is bounded by the times of the [`Policy`]: a head by
/// `handshake_timeout`, a response by `stall_timeout`, the FIN of a peer by `linger_timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once. A proxy keeps some dozens, a health checker one.
    pub connections_max: usize,
    /// What is held of all connections, in bytes: what was read before they came here, and bodies.
    pub held_bytes_max: usize,
    /// How long a connection is kept without a request. Proxies keep theirs for 60 s; who closes first must
    /// not be the server, or a request is lost on the way.
    pub idle_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// Behaviours, if they are to be had.
    pub behaviours: Option<Behaviours>,
    /// Socket.IO, if it is to be had.
    pub socket_io: Option<SocketIo>,
}

/// The bounds of the behaviours of `/x`, beside those that each has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviours {
    /// Connections at once; they do not count among the others.
    pub connections_max: usize,
}

/// How Socket.IO is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketIo {
    /// The path, without a slash at its end.
    pub path: String,
    /// How often the server asks whether a client is there.
    pub ping_interval: Duration,
    /// How long it waits for the answer.
    pub ping_timeout: Duration,
    /// The largest payload of a request or a message, in bytes.
    pub max_payload: u64,
    /// How long a client has to join a namespace.
    pub connect_timeout: Duration,
    /// Sessions at once, and as many connections of theirs; these do not count among the others.
    pub sessions_max: usize,
}

impl SocketIo {
    /// The largest payload, as a length in memory.
    fn payload_bytes_max(&self) -> usize {
        usize::try_from(self.max_payload).unwrap_or(usize::MAX)
    }
}

impl Default for SocketIo {
    fn default() -> Self {
        SocketIo {
            path: "/socket.io".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            max_payload: 1_000_000,
            connect_timeout: Duration::from_secs(45),
            sessions_max: 10_000,
        }
    }
}

impl Settings {
    /// The paths whose WebSockets are answered here.
    pub fn elsewhere(&self) -> Vec<Elsewhere> {
        let place = |path: &str, speaks_engine_io| Elsewhere {
            path: path.to_owned(),
            speaks_engine_io,
        };
        let behaviours = self
            .behaviours
            .iter()
            .map(|_| place(behaviour::table::PATH, false));
        let socket_io = self.socket_io.iter();
        let socket_io = socket_io.flat_map(|settings| {
            [
                place(&settings.path, true),
                place(socket_io::ENGINE_IO_PATH, true),
            ]
        });
        behaviours.chain(socket_io).collect()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            connections_max: 1024,
            held_bytes_max: 64 * 1024 * 1024,
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(10),
            behaviours: Some(Behaviours {
                connections_max: 1024,
            }),
            socket_io: Some(SocketIo::default()),
        }
    }
}

/// A connection on its way from one owner to another.
pub struct Caller {
    /// The connection. Whether it blocks is the same when it is given back.
    pub socket: OwnedFd,
    /// What was read from it and not used, from the first byte of a request head on.
    pub unread: Vec<u8>,
    /// What is to be sent before any answer, as it goes on the wire: only a link has something to say by then.
    pub unsent: Vec<u8>,
    /// How many bytes have been read from it so far, those included: the kernel counts all that came.
    pub received: u64,
    /// What lies between the wire and these bytes, where TLS is spoken.
    pub link: Option<Box<Link>>,
    /// Who is at the other end, where the workers know something of it.
    pub guest: Option<Box<Guest>>,
}

/// Whom the HTTP side tells. Both are called on its thread and must not block.
pub struct Hooks {
    /// Gives back a connection that asks for a WebSocket.
    pub upgrade: Box<dyn Fn(Caller) + Send + Sync>,
    /// Says that the thread panicked.
    pub panicked: Box<dyn FnOnce() + Send>,
}

/// What was done, counted since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests that were answered, a malformed one included.
    pub requests: AtomicU64,
    /// Connections that were turned away for want of a place.
    pub refused: AtomicU64,
    /// Requests of those who may not come: their host, their origin, without a secret, or too many from one address.
    pub unwelcome: AtomicU64,
    /// Connections whose TLS broke: records that cannot be opened, or an alert.
    pub tls_broken: AtomicU64,
}

/// How much is taken of something that there is so much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// What it is.
    pub what: &'static str,
    /// Taken now.
    pub taken: usize,
    /// The most that may be.
    pub max: usize,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// All is as ever, but whoever asks whether newcomers are welcome is told that they are not.
    Announced,
    /// Nothing is kept: who is answered is told so.
    Draining,
    /// As draining, and what is still there at this time is dropped.
    Finishing(Instant),
}

impl Phase {
    /// Whether connections are kept, and newcomers served.
    fn serves(self) -> bool {
        matches!(self, Phase::Serving | Phase::Announced)
    }
}

/// Waits until nothing is kept any more.
async fn drained(phase: &mut watch::Receiver<Phase>) {
    // Where nobody is left to say so, the end has come.
    let _ = phase.wait_for(|phase| !phase.serves()).await;
}

/// The HTTP side: its thread, as seen from outside. Dropped, it ends at once.
pub struct Side {
    sender: Sender,
    phase: watch::Sender<Phase>,
    /// Those who want to know whether the thread goes on.
    calls: mpsc::UnboundedSender<std::sync::mpsc::Sender<usize>>,
    thread: JoinHandle<()>,
}

impl Side {
    /// Starts the thread. `policy` is that of the workers, so that both judge a head alike; that ordinary
    /// HTTP is answered goes without saying here.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub fn start(settings: Settings, policy: Policy, hooks: Hooks) -> io::Result<Side> {
        let policy = Policy {
            http: true,
            elsewhere: settings.elsewhere(),
            ..policy
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (callers, arriving) = mpsc::unbounded_channel();
        let (phase, phases) = watch::channel(Phase::Serving);
        let (calls, called) = mpsc::unbounded_channel();
        let counters = Arc::<Counters>::default();
        let places = Arc::new(Places::new(
            ["connections of HTTP", "bytes for HTTP"],
            settings.connections_max,
            settings.held_bytes_max,
        ));
        let turns = Turns::new();
        let has_behaviours = settings.behaviours.is_some();
        let welcome = Welcome::new(&settings, &policy);
        let behaviours = behaviours::Host::new(&settings);
        let socket_io = socket_io::Host::new(&settings, &policy, &turns);
        let all_places = iter::once(&places)
            .chain(&behaviours.places)
            .chain(socket_io.as_ref().map(|host| &host.places));
        let all_places = all_places.cloned().collect();
        let shared = Arc::new(Shared {
            behaviours,
            socket_io,
            settings,
            policy: policy.clone(),
            counters: counters.clone(),
            places: places.clone(),
            refusals: SharedLimit::default(),
            phase: phases.clone(),
            router: routes::router(phases, has_behaviours, welcome),
            turns,
            upgrade: hooks.upgrade,
        });
        let last_words = LastWords(Some(hooks.panicked));
        let thread = thread::Builder::new()
            .name("http".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let _last_words = last_words;
                // Refused it is no harm.
                let _ = rustix::process::setpriority_process(None, NICENESS);
                runtime.block_on(run(shared, arriving, called));
            })?;
        let sender = Sender {
            callers,
            places,
            all_places,
            counters,
            policy: Arc::new(policy),
        };
        Ok(Side {
            sender,
            phase,
            calls,
            thread,
        })
    }

    /// Where connections are brought.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Has `/readyz` say that the server goes down, though it does not yet.
    pub fn announce_end(&self) {
        self.phase.send_replace(Phase::Announced);
    }

    /// Asks the thread to answer; whether it is there to be asked.
    pub fn call(&self, answers: std::sync::mpsc::Sender<usize>) -> bool {
        self.calls.send(answers).is_ok()
    }

    /// Keeps no connection any longer: idle ones are closed, others once they are answered, and `/readyz`
    /// says so. Who comes is still answered.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Waits for those that are left, for at most `patience`, and ends the thread.
    pub fn finish(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.phase.send_replace(Phase::Finishing(deadline));
        // That it panicked was said by its last words.
        let _ = self.thread.join();
    }
}

/// Brings connections.
#[derive(Clone)]
pub struct Sender {
    callers: mpsc::UnboundedSender<(Caller, Place)>,
    places: Arc<Places>,
    /// These, and those of whoever has places of its own.
    all_places: Arc<[Arc<Places>]>,
    counters: Arc<Counters>,
    policy: Arc<Policy>,
}

impl Sender {
    /// Hands a connection over. Never blocks: where there is no place, the caller is told so with one write,
    /// and closed.
    pub fn take(&self, caller: Caller) {
        let turned_away = match Places::enter(&self.places, caller.unread.capacity()) {
            Some(place) => match self.callers.send((caller, place)) {
                Ok(()) => return,
                Err(mpsc::error::SendError((caller, _))) => caller,
            },
            None => caller,
        };
        self.counters
            .refused
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        places::turn_away(turned_away, &self.policy);
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What connections take of what there is, by whose places they have.
    pub fn occupied(&self) -> Vec<Occupied> {
        self.all_places
            .iter()
            .flat_map(|it| it.occupied())
            .collect()
    }
}

/// Tells that the thread panicked.
struct LastWords(Option<Box<dyn FnOnce() + Send>>);

impl Drop for LastWords {
    fn drop(&mut self) {
        if let Some(panicked) = self.0.take().filter(|_| thread::panicking()) {
            panicked();
        }
    }
}

/// Serves whoever arrives, until the end has come.
async fn run(
    shared: Arc<Shared>,
    mut arriving: mpsc::UnboundedReceiver<(Caller, Place)>,
    mut called: mpsc::UnboundedReceiver<std::sync::mpsc::Sender<usize>>,
) {
    let mut phases = shared.phase.clone();
    let mut connections = JoinSet::new();
    loop {
        let phase = *phases.borrow_and_update();
        if let Some(socket_io) = shared.socket_io.as_ref().filter(|_| !phase.serves()) {
            socket_io.drain();
        }
        let deadline = match phase {
            Phase::Finishing(_) if connections.is_empty() && arriving.is_empty() => return,
            Phase::Finishing(deadline) => Some(deadline),
            Phase::Serving | Phase::Announced | Phase::Draining => None,
        };
        tokio::select! {
            Some((caller, place)) = arriving.recv() => {
                connections.spawn(connection::serve(caller, place, shared.clone()));
            }
            Some(ended) = connections.join_next() => {
                // A panic is the thread's own: nobody goes on with a broken invariant.
                if let Err(error) = ended && let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic);
                }
            }
            Some(answers) = called.recv() => {
                // Whoever asked may have lost patience.
                let _ = answers.send(0);
            }
            changed = phases.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
        }
    }
}
