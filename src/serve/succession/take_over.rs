//! The side of the successor.

use std::env;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketType};

use super::line::{Frame, Hello, Line, Listening, Word};
use super::{Estate, Failure, News, PROTOCOL_VERSION, VARIABLE, parcels};
use crate::config::ConfigError;
use crate::serve::ServeError;
use crate::serve::inbox::{Event, Events};
use crate::serve::listeners::Served;
use crate::shard::{ENCODING_VERSION, Permit};
use crate::sys::{inherited, limits};

/// How long the other may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long workers may take to pick up what they were brought. Clearly less than the other waits for word of the next
/// connections, so that a worker that is late does not end the handover.
const PICKING_UP: Duration = Duration::from_secs(2);

/// How long they may take to stop accepting.
const STOPPING: Duration = Duration::from_secs(1);

/// Descriptors that are not for connections that are handed over: those who come meanwhile need some.
const DESCRIPTORS_SPARED: usize = 16;

/// What a process has from the one that it succeeds.
#[derive(Debug)]
pub(in crate::serve) struct Inheritance {
    line: Line,
    /// What that one listens on.
    pub(in crate::serve) listeners: Vec<Served>,
}

impl Inheritance {
    /// What this process has inherited, if it is to succeed another.
    ///
    /// # Errors
    /// Where the variable says so and it is not true, or where the other wants no successor any more.
    pub(in crate::serve) fn claim() -> Result<Option<Self>, ServeError> {
        let Some(value) = env::var_os(VARIABLE) else {
            return Ok(None);
        };
        let error = |problem: String| {
            let remedy = "unset it: only a process that starts its successor sets it";
            ConfigError::new(VARIABLE, problem, remedy)
        };
        let number = value.to_str().and_then(|text| text.parse().ok());
        let socket = number.and_then(|number| inherited::take(number).ok());
        let Some(socket) = socket.filter(is_line) else {
            let value = value.to_string_lossy();
            return Err(error(format!("`{value}` is no line to another process")).into());
        };
        let line = Line::new(UnixStream::from(socket));
        match greet(&line) {
            Ok(listeners) => Ok(Some(Inheritance { line, listeners })),
            // It was told to stop, or has died: nothing is wrong with the variable.
            Err(Failure::Gone) => Err(ServeError::Orphaned),
            Err(failure) => {
                let problem = format!("the process to be succeeded does not go on: {failure}");
                Err(error(problem).into())
            }
        }
    }

    /// The workers of this process wait to be told to accept: takes over, on a thread of its own. `unused` are those of
    /// the listeners that this one does not listen on.
    ///
    /// # Errors
    /// Where there are no descriptors or threads left.
    pub(in crate::serve) fn accede(
        self,
        unused: Vec<usize>,
        estate: Arc<Estate>,
        events: Events,
    ) -> std::io::Result<Accession> {
        let accession = Accession {
            line: self.line.try_clone()?,
            estate: estate.clone(),
        };
        let side = Side {
            line: self.line,
            estate,
            events,
            places: Vec::new(),
            taken: 0,
            begun: Instant::now(),
        };
        thread::Builder::new()
            .name("succession".to_owned())
            .spawn(move || side.run(unused))?;
        Ok(accession)
    }
}

/// A process on its way to be the only one.
pub(in crate::serve) struct Accession {
    line: Line,
    estate: Arc<Estate>,
}

impl Accession {
    /// Takes over nothing more: what has not been taken stays with the other, which accepts again once it sees that the
    /// line has ended. Nobody accepts here by then, so that whoever comes is served there and not refused here.
    pub(in crate::serve) fn renounce(self) {
        self.estate.stop.set_accepting(false);
        // Whoever does not answer accepts nobody either.
        let _ = self.estate.await_workers(STOPPING);
        self.line.cut();
    }
}

fn is_line(socket: &OwnedFd) -> bool {
    let is_unix = sockopt::socket_domain(socket).is_ok_and(|it| it == AddressFamily::UNIX);
    is_unix && sockopt::socket_type(socket).is_ok_and(|it| it == SocketType::STREAM)
}

/// Says who this is, and hears what there is to listen on.
fn greet(line: &Line) -> Result<Vec<Served>, Failure> {
    line.say(&Word::Hello(Hello {
        protocol: PROTOCOL_VERSION,
        encoding: ENCODING_VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))?;
    let (Word::Listeners(all), mut sockets) = line.hear_word(PATIENCE)? else {
        return Err(Failure::Foreign("no listeners"));
    };
    let count = all.iter().map(|it| it.sockets).sum();
    while sockets.len() < count {
        let (Word::Sockets, more) = line.hear_word(PATIENCE)? else {
            return Err(Failure::Foreign("too few listeners"));
        };
        if more.is_empty() {
            let why = "there are too few descriptors for its listeners (see `ulimit -n`)";
            return Err(Failure::Own(why.to_owned()));
        }
        sockets.extend(more);
    }
    let mut sockets = sockets.into_iter().map(TcpListener::from);
    let served = |it: Listening| Served {
        tls: it.tls,
        label: it.label,
        sockets: sockets.by_ref().take(it.sockets).collect(),
    };
    Ok(all.into_iter().map(served).collect())
}

/// The thread that takes over.
struct Side {
    line: Line,
    estate: Arc<Estate>,
    events: Events,
    /// Kept for those to come.
    places: Vec<Permit>,
    taken: usize,
    begun: Instant,
}

impl Side {
    fn run(mut self, unused: Vec<usize>) {
        let room = room();
        let failure = match self.line.say(&Word::Ready { room, unused }) {
            Ok(()) => self.take_over(),
            Err(failure) => failure,
        };
        let news = match failure {
            Failure::Gone => News::Alone,
            failure => News::GivesUp(failure.to_string()),
        };
        self.events.send(Event::Succession(news));
    }

    /// Takes whatever comes, until the line ends.
    fn take_over(&mut self) -> Failure {
        loop {
            let done = match self.line.hear(None) {
                Ok((Frame::Word(Word::Begin { places }), _)) => {
                    self.begin(places);
                    Ok(())
                }
                Ok((Frame::Connections(bytes), sockets)) => self.take(&bytes, sockets),
                Ok((Frame::Word(Word::Done { .. }), _)) => {
                    self.places.clear();
                    self.events.send(Event::Succession(News::TookOver {
                        connections: self.taken,
                        took: self.begun.elapsed(),
                    }));
                    Ok(())
                }
                Ok((Frame::Word(_), _)) => Err(Failure::Foreign("a word out of turn")),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = done {
                return failure;
            }
        }
    }

    fn begin(&mut self, places: usize) {
        self.begun = Instant::now();
        if self.estate.admission.is_limited() {
            let admission = &self.estate.admission;
            self.places = (0..places).map(|_| admission.make_room()).collect();
        }
        self.events.send(Event::Succession(News::Begins));
    }

    /// Takes connections: they are this process's once that has been said.
    fn take(&mut self, bytes: &[u8], sockets: Vec<OwnedFd>) -> Result<(), Failure> {
        let places = &mut self.places;
        let admission = &self.estate.admission;
        let place = || places.pop().unwrap_or_else(|| admission.make_room());
        let (connections, without) = parcels::open(bytes, sockets, place)
            .map_err(|damage| Failure::Own(format!("connections cannot be read: {damage}")))?;
        self.line.say(&Word::Taken { without })?;
        self.taken += connections.len();
        let taken_over = &self.estate.counters.taken_over;
        taken_over.fetch_add(connections.len() as u64, Relaxed);
        for (socket, carried) in connections {
            self.estate.exchange.bring(socket, carried);
        }
        // What is in between is in no account of memory.
        let _ = self.estate.await_workers(PICKING_UP);
        Ok(())
    }
}

/// How many connections there are descriptors for.
fn room() -> Option<usize> {
    let limit = usize::try_from(limits::open_files().soft?).ok()?;
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Some(limit.saturating_sub(open + DESCRIPTORS_SPARED))
}
