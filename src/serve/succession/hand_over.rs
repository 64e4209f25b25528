//! The side of the process that is succeeded.

use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tracing::{info, warn};

use super::line::{Frame, Line, Listening, Word};
use super::parcels::{Connection, Parcels};
use super::{Failure, News, PROTOCOL_VERSION, Program};
use crate::admin::Handovers;
use crate::engine::{Exchange, Most, Stop};
use crate::serve::inbox::{Event, Events};
use crate::serve::listeners::Listeners;
use crate::serve::manager;
use crate::shard::{Admission, Carried, ENCODING_VERSION};
use crate::sys::{limits, pass};

/// How long a successor may take to start, and to read its configuration.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to start its workers. Locked memory that is short is waited for.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take to take connections. Their peers wait for that long at most.
const TAKING_PATIENCE: Duration = Duration::from_secs(5);

/// How long a worker of this process may take to look into its mailbox.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// How long the first of some connections that leave is waited for, and then each other. They may be ended instead; and
/// whoever takes longer comes with those that follow.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);
const LEAVING_PATIENCE: Duration = Duration::from_millis(5);

/// What waits with the connections that are on their way at a time, in bytes, about.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// How long a successor that has cut the line may take to end.
const ENDING_PATIENCE: Duration = Duration::from_secs(1);

/// What there is to hand over.
pub(in crate::serve) struct Estate {
    pub(in crate::serve) program: Program,
    pub(in crate::serve) listeners: Listeners,
    pub(in crate::serve) exchange: Arc<Exchange>,
    pub(in crate::serve) stop: Arc<Stop>,
    pub(in crate::serve) admission: Arc<Admission>,
    pub(in crate::serve) workers: usize,
    pub(in crate::serve) counters: Arc<Handovers>,
}

/// A handover under way.
pub(in crate::serve) struct Handover {
    line: Line,
    called_off: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Handover {
    /// Starts a successor, and hands over to it, on a thread of its own.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(in crate::serve) fn begin(estate: Arc<Estate>, events: Events) -> Result<Self, String> {
        let path = estate.program.path().display().to_string();
        let (line, theirs) = Line::pair().map_err(|error| error.to_string())?;
        let handle = line.try_clone().map_err(|error| error.to_string())?;
        let child = estate.program.start(&theirs);
        let child = child.map_err(|error| format!("{path} cannot be started: {error}"))?;
        info!("starting a successor: process {}, {path}", child.id());
        estate.counters.started.fetch_add(1, Relaxed);
        let called_off = Arc::new(AtomicBool::new(false));
        let side = Side {
            estate,
            line,
            child,
            called_off: called_off.clone(),
            events,
            departed: None,
            in_the_air: Parcels::default(),
            room: usize::MAX,
            unused: Vec::new(),
            sent: 0,
        };
        let thread = thread::Builder::new()
            .name("succession".to_owned())
            .spawn(move || side.run());
        Ok(Handover {
            line: handle,
            called_off,
            thread: thread.map_err(|error| error.to_string())?,
        })
    }

    /// Calls it off: what has not been handed over stays, and the successor is to stop as this process is.
    pub(in crate::serve) fn call_off(&self) {
        self.called_off.store(true, Relaxed);
        self.line.cut();
    }

    /// Waits until the last of those are handed over that came late. To be called once it is done, and nobody is left
    /// who could be handed over.
    pub(in crate::serve) fn finish(self, exchange: &Exchange) {
        exchange.succeed(None);
        // That it panicked has ended the process.
        let _ = self.thread.join();
    }
}

/// The thread that hands over.
struct Side {
    estate: Arc<Estate>,
    line: Line,
    child: Child,
    called_off: Arc<AtomicBool>,
    events: Events,
    /// Where connections arrive that were put down for the successor.
    departed: Option<Receiver<Connection>>,
    /// Those that were sent and are not taken yet.
    in_the_air: Parcels,
    /// How many more the successor has descriptors for.
    room: usize,
    /// Of what this process listens on, what the successor does not.
    unused: Vec<usize>,
    sent: usize,
}

impl Side {
    fn run(mut self) {
        let handed_over = self.greet().and_then(|()| self.hand_over());
        if let Err(failure) = handed_over {
            let why = self.take_back(&failure);
            self.estate.counters.failed.fetch_add(1, Relaxed);
            self.events.send(Event::Succession(News::Failed(why)));
            // Somebody has to.
            let _ = self.child.wait();
            return;
        }
        self.empty_unused_queues();
        if let Err(failure) = self.send_stragglers() {
            // It is the successor that serves, and this process that ends: whoever comes back is told goodbye here.
            self.bring_back();
            warn!("the successor takes over nothing more: {failure}");
        }
    }

    /// Brings the successor to where its workers wait to be told to accept.
    fn greet(&mut self) -> Result<(), Failure> {
        let (Word::Hello(hello), _) = self.line.hear_word(GREETING_PATIENCE)? else {
            return Err(Failure::Foreign("no greeting"));
        };
        for (what, theirs, ours) in [
            ("handovers", hello.protocol, PROTOCOL_VERSION),
            ("connections", hello.encoding, ENCODING_VERSION),
        ] {
            if theirs != ours {
                return Err(Failure::Own(format!(
                    "it is Ringback {}, which knows {what} of version {theirs}, and this process has version {ours}",
                    hello.version
                )));
            }
        }
        self.send_listeners()?;
        let (Word::Ready { room, unused }, _) = self.line.hear_word(READY_PATIENCE)? else {
            return Err(Failure::Foreign("no word that it is ready"));
        };
        self.room = room.unwrap_or(usize::MAX);
        self.unused = unused;
        Ok(())
    }

    fn send_listeners(&self) -> Result<(), Failure> {
        let served = &self.estate.listeners.0;
        let all = served.iter().map(|it| Listening {
            label: it.label.clone(),
            tls: it.tls,
            sockets: it.sockets.len(),
        });
        let mut word = Word::Listeners(all.collect());
        let sockets = served.iter().flat_map(|it| &it.sockets);
        let sockets: Vec<_> = sockets.map(AsFd::as_fd).collect();
        for some in sockets.chunks(descriptors_max()) {
            self.line.say_with(&word, some)?;
            word = Word::Sockets;
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let (departures, departed) = mpsc::channel();
        self.departed = Some(departed);
        self.estate.stop.set_accepting(false);
        self.await_workers()?;
        self.estate.exchange.succeed(Some(departures));
        let places = self.estate.admission.present();
        self.line.say(&Word::Begin { places })?;
        let pid = self.child.id();
        self.events.send(Event::Succession(News::Serves { pid }));
        while self.sweep()? > 0 {}
        let staying = self.estate.admission.present();
        // Before the successor says anything itself.
        manager::main_process_is(self.child.id());
        if let Err(failure) = self.line.say(&Word::Done { staying }) {
            manager::main_process_is(std::process::id());
            return Err(failure);
        }
        self.events.send(Event::Succession(News::Done {
            sent: self.sent,
            staying,
            took: begun.elapsed(),
        }));
        Ok(())
    }

    /// Waits until all workers have heard what they were told.
    fn await_workers(&self) -> Result<(), Failure> {
        let (answers, answered) = mpsc::channel();
        for _ in 0..self.estate.exchange.call_the_roll(&answers) {
            let answer = answered.recv_timeout(WORKER_PATIENCE);
            answer
                .map_err(|_| Failure::Own("a worker of this process does not answer".to_owned()))?;
        }
        Ok(())
    }

    /// Sends what all workers have that can go, worker by worker and some at a time. How many they had.
    fn sweep(&mut self) -> Result<usize, Failure> {
        let mut total = 0;
        for worker in 0..self.estate.workers {
            loop {
                let (begun, count) = mpsc::channel();
                let most = Most {
                    connections: descriptors_max().min(self.room),
                    bytes: WAITING_BYTES_MAX,
                };
                self.estate.exchange.send_off(worker, most, begun);
                let begun = match count.recv_timeout(WORKER_PATIENCE) {
                    Ok(begun) => begun,
                    Err(RecvTimeoutError::Disconnected) => 0,
                    Err(RecvTimeoutError::Timeout) => {
                        let why = format!("worker {worker} of this process does not answer");
                        return Err(Failure::Own(why));
                    }
                };
                total += begun;
                let batch = self.collect(begun);
                if begun == 0 && batch.is_empty() {
                    break;
                }
                self.send(batch)?;
            }
        }
        Ok(total)
    }

    /// Those that were put down: `begun` of them, fewer where some have ended meanwhile.
    fn collect(&mut self, begun: usize) -> Vec<Connection> {
        let mut batch = Vec::with_capacity(begun);
        if let Some(departed) = &self.departed {
            batch.extend(departed.try_iter().take(descriptors_max()));
            while batch.len() < begun {
                let patience = if batch.is_empty() {
                    FIRST_PATIENCE
                } else {
                    LEAVING_PATIENCE
                };
                let Ok(connection) = departed.recv_timeout(patience) else {
                    break;
                };
                batch.push(connection);
            }
        }
        batch
    }

    /// Sends connections, and waits until they are the successor's.
    fn send(&mut self, mut batch: Vec<Connection>) -> Result<(), Failure> {
        let fitting = batch.len().min(self.room);
        for (socket, carried) in batch.drain(fitting..) {
            self.keep(socket, carried);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.in_the_air = Parcels::pack(batch);
        let parcels = &self.in_the_air;
        self.line
            .send_connections(parcels.bytes(), &parcels.sockets())?;
        let (Word::Taken { without }, _) = self.line.hear_word(TAKING_PATIENCE)? else {
            return Err(Failure::Foreign("no word about connections"));
        };
        self.are_taken(&without);
        Ok(())
    }

    /// What is in the air is the successor's, but for those of these numbers.
    fn are_taken(&mut self, without: &[usize]) {
        let parcels = std::mem::take(&mut self.in_the_air);
        let taken = parcels.len() - without.len().min(parcels.len());
        self.sent += taken;
        let handed_over = &self.estate.counters.handed_over;
        handed_over.fetch_add(taken as u64, Relaxed);
        self.room = if without.is_empty() {
            self.room.saturating_sub(taken)
        } else {
            0
        };
        if without.is_empty() {
            // The successor's copies of the descriptors are all there are, and the places are its own.
            return;
        }
        for (number, parcel) in parcels.unpack().enumerate() {
            if let Ok((socket, carried)) = parcel
                && without.contains(&number)
            {
                self.keep(socket, carried);
            }
        }
    }

    /// A connection stays in this process.
    fn keep(&mut self, socket: OwnedFd, mut carried: Carried) {
        carried.stays = true;
        self.estate.exchange.bring(socket, carried);
    }

    /// Everything is as it was before, but for what the successor has confirmed. Why that is so, in words.
    fn take_back(&mut self, failure: &Failure) -> String {
        let called_off = self.called_off.load(Relaxed);
        if !called_off && !matches!(failure, Failure::Gone) {
            // Two processes must not serve the same. And before it can see that the line ends, since whoever is alone
            // accepts newcomers.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        self.bring_back();
        self.estate.stop.set_accepting(true);
        let why = match failure {
            _ if called_off => self.stop_as_well(),
            Failure::Gone => self.how_it_has_ended(),
            Failure::Own(why) => why.clone(),
            failure => format!("the successor is no good: {failure}"),
        };
        match self.sent {
            0 => why,
            sent => format!("{why}; {sent} connections had been handed over"),
        }
    }

    /// Ends the line, and has everyone served here who is on the way and whom the successor has not confirmed.
    fn bring_back(&mut self) {
        self.line.cut();
        // Nothing can be confirmed any more; what has been is the successor's.
        while let Ok((Frame::Word(Word::Taken { without }), _)) =
            self.line.hear(Some(TAKING_PATIENCE))
        {
            self.are_taken(&without);
        }
        let exchange = &self.estate.exchange;
        exchange.succeed(None);
        let on_their_way = std::mem::take(&mut self.in_the_air).unpack().flatten();
        let arrived = self.departed.iter().flat_map(Receiver::try_iter);
        for (socket, carried) in on_their_way.chain(arrived) {
            exchange.bring(socket, carried);
        }
    }

    /// Tells the successor to stop, as this process is told: what it has taken over it closes as it should be closed.
    fn stop_as_well(&self) -> String {
        let child = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // It may have ended.
        let _ = child.map(|child| kill_process(child, Signal::TERM));
        "this process is told to stop".to_owned()
    }

    /// What became of a successor that has cut the line.
    fn how_it_has_ended(&mut self) -> String {
        let ends = Instant::now() + ENDING_PATIENCE;
        while Instant::now() < ends {
            if let Ok(Some(status)) = self.child.try_wait() {
                return format!("the successor has ended ({status})");
            }
            thread::sleep(Duration::from_millis(5));
        }
        "the successor wants nothing more".to_owned()
    }

    /// Serves those once more who wait at addresses that are no longer listened on, and closes these. Who wants TLS
    /// there would not be done with it in time.
    fn empty_unused_queues(&self) {
        let listeners = self.estate.listeners.numbered(self.estate.workers);
        let all = listeners.enumerate();
        for (_, (number, served)) in all.filter(|(place, _)| self.unused.contains(place)) {
            info!("no longer listening on {}", served.label.address());
            for socket in &served.sockets {
                if !served.tls {
                    self.empty(socket, number);
                }
                // For all who have it open: whoever comes now is refused by the kernel.
                let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
            }
        }
    }

    fn empty(&self, socket: &TcpListener, number: usize) {
        while let Ok((stream, _)) = socket.accept() {
            self.estate.exchange.admit(stream.into(), number as u32);
        }
    }

    /// Hands over those that still come: by way of the HTTP side, or accepted at the last moment.
    fn send_stragglers(&mut self) -> Result<(), Failure> {
        while let Some(first) = self.departed.as_ref().and_then(|it| it.recv().ok()) {
            let mut batch = vec![first];
            batch.append(&mut self.collect(0));
            self.send(batch)?;
        }
        Ok(())
    }
}

/// How many descriptors may be on the way at a time: by unix(7) no more than a process may have open.
fn descriptors_max() -> usize {
    let limit = limits::open_files().soft;
    let limit = limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX));
    (limit / 4).clamp(1, pass::DESCRIPTORS_MAX)
}
