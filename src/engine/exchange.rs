//! What the workers of a process have to do with each other: fair shares, and mailboxes.
//!
//! The kernel spreads connections over the listeners of all workers by a hash, so that one of them may have
//! half as many again as another. Here a worker that has accepted a connection learns who is to serve it, and
//! puts it into that worker's mailbox. It costs a look at a number for each worker whenever a connection comes
//! and a store when it goes; nothing is shared between.
//!
//! What is put down for somebody else goes the same way, or to whoever answers ordinary HTTP, or to whoever brings
//! it to this process's successor.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entrances::Entrances;
use super::post::{Letter, Most, Origin, PutDown, RollCall};
use super::socket::reset_on_close;
use super::{Stop, Survey};
use crate::shard::{Carried, Destination};
use crate::sys::wake::Waker;

/// How many connections a worker serves, or is about to. Each has its own cache line, and the one that the
/// processor fetches with it: other workers look at it rarely.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

/// What waits for a worker; none: it has ended.
type Mailbox = Option<Vec<Letter<OwnedFd>>>;

/// Where a connection goes that leaves this process.
type Departures = Sender<(OwnedFd, Carried)>;

/// Takes a connection over whose request is ordinary HTTP. It must not block.
type Http = Box<dyn Fn(OwnedFd, Carried) + Send + Sync>;

/// Shared by all workers of a process.
pub struct Exchange {
    /// One for each worker; none: everyone serves whom it accepts.
    loads: Vec<Load>,
    /// With so many connections in all, whoever accepts another refuses it, and nothing is handed on.
    connections_max: usize,
    mailboxes: Vec<Mutex<Mailbox>>,
    wakers: Arc<[Waker]>,
    http: Option<Http>,
    /// What is listened on.
    entrances: Entrances,
    /// How many connections were brought so far.
    turn: AtomicUsize,
    /// Where those go that are for the successor; none: there is none.
    departures: Mutex<Option<Departures>>,
    /// Whether there is one.
    succeeded: AtomicBool,
}

impl Exchange {
    /// For the workers of `stop`. With `balance` each gets its fair share of all connections, up to
    /// `connections_max` of them.
    pub fn new(stop: &Stop, balance: bool, connections_max: Option<NonZeroUsize>) -> Self {
        let wakers = stop.wakers();
        let workers = wakers.len();
        let shares = if balance && workers > 1 { workers } else { 0 };
        Exchange {
            loads: (0..shares).map(|_| Load::default()).collect(),
            connections_max: connections_max.map_or(usize::MAX, NonZeroUsize::get),
            mailboxes: (0..workers).map(|_| Mutex::new(Some(Vec::new()))).collect(),
            wakers,
            http: None,
            entrances: Entrances::default(),
            turn: AtomicUsize::new(0),
            departures: Mutex::default(),
            succeeded: AtomicBool::new(false),
        }
    }

    /// Has `take` take over the connections whose requests are ordinary HTTP; without it they are closed. It
    /// must not block.
    #[must_use]
    pub fn with_http(mut self, take: impl Fn(OwnedFd, Carried) + Send + Sync + 'static) -> Self {
        self.http = Some(Box::new(take));
        self
    }

    /// Has it known of a connection that is brought by which of these addresses it came in: each with its
    /// [`crate::shard::Entrance::number`].
    #[must_use]
    pub fn with_entrances(mut self, entrances: Vec<(SocketAddr, u16)>) -> Self {
        self.entrances = Entrances(entrances);
        self
    }

    /// Hands over a connection that no worker has, to one after the other: what is on its way to a worker counts
    /// there only once it has arrived. Where none takes it, it ends.
    pub fn bring(&self, socket: OwnedFd, mut carried: Carried) {
        carried.entrance = self.entrances.of(&socket);
        let turn = self.turn.fetch_add(1, Relaxed);
        let to = (turn % self.mailboxes.len()) as u16;
        self.hand_over(socket, carried, Destination::Worker(to));
    }

    /// Has a connection served that nobody who serves has accepted, as if it had come by that listener of a worker's.
    pub fn admit(&self, socket: OwnedFd, listener: u32) {
        let to = self.turn.fetch_add(1, Relaxed) % self.mailboxes.len();
        self.count(to);
        if self.hand_over_fresh(socket, listener, to).is_err() {
            self.discount(to);
        }
    }

    /// Asks every worker who is connected; how many were asked.
    pub fn survey(&self, survey: &Survey) -> usize {
        let ask = |worker: &usize| self.post(*worker, Letter::Survey(survey.clone())).is_ok();
        (0..self.mailboxes.len()).filter(ask).count()
    }

    /// Has a worker put down every connection that it has, for `to`.
    pub fn put_down(&self, worker: usize, to: Destination) {
        let all = PutDown {
            to,
            most: None,
            begun: None,
        };
        // A worker that has ended has none.
        let _ = self.post(worker, Letter::PutDown(all));
    }

    /// Has a worker put down some of the connections that may go to the successor, and tell `begun` how many these
    /// are. Where it has ended, `begun` is dropped.
    pub fn send_off(&self, worker: usize, most: Most, begun: Sender<usize>) {
        let some = PutDown {
            to: Destination::Successor,
            most: Some(most),
            begun: Some(begun),
        };
        let _ = self.post(worker, Letter::PutDown(some));
    }

    /// From now on whatever connection may go to the successor goes to `departures`, even one that has just come;
    /// none: there is no successor, and what was put down for it comes back.
    pub fn succeed(&self, departures: Option<Departures>) {
        self.succeeded.store(departures.is_some(), Relaxed);
        *self.departures() = departures;
    }

    fn departures(&self) -> MutexGuard<'_, Option<Departures>> {
        let departures = self.departures.lock();
        departures.unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks each worker to say that it is there, once it has done what is in its mailbox. How many are asked: not those
    /// that have ended.
    pub fn call_the_roll(&self, answers: &Sender<usize>) -> usize {
        let ask = |number| {
            let answers = answers.clone();
            self.post(number, Letter::RollCall(RollCall { number, answers }))
        };
        (0..self.mailboxes.len())
            .filter_map(|it| ask(it).ok())
            .count()
    }

    /// Has a worker that is none do what it was asked.
    #[cfg(test)]
    pub(crate) fn answer_roll(&self, worker: usize) {
        for letter in self.collect(worker) {
            if let Letter::RollCall(call) = letter {
                call.answer();
            }
        }
    }

    /// Hands over a connection that was put down. Where there is nobody to take it, it ends with a reset: its
    /// peer may be in the middle of something.
    pub(super) fn hand_over(&self, socket: OwnedFd, carried: Carried, to: Destination) {
        let to = match (to, &self.http) {
            (Destination::Successor, _) => return self.depart(socket, carried),
            (Destination::Worker(number), _) => usize::from(number),
            (Destination::Http, Some(take)) => return take(socket, carried),
            (Destination::Http, None) => return reset_on_close(&socket),
        };
        let letter = Letter::Connection(socket, Origin::PutDown(carried));
        if let Err(Letter::Connection(socket, _)) = self.post(to, letter) {
            reset_on_close(&socket);
        }
    }

    /// Hands over a connection to the successor; where there is none any more, it comes back.
    fn depart(&self, socket: OwnedFd, carried: Carried) {
        let departing = match &*self.departures() {
            Some(departures) => departures.send((socket, carried)).map_err(|back| back.0),
            None => Err((socket, carried)),
        };
        if let Err((socket, carried)) = departing {
            self.bring(socket, carried);
        }
    }

    /// Hands a connection that has just been accepted to another worker.
    ///
    /// # Errors
    /// Where that worker has ended: the socket.
    pub(super) fn hand_over_fresh(
        &self,
        socket: OwnedFd,
        listener: u32,
        to: usize,
    ) -> Result<(), OwnedFd> {
        let letter = Letter::Connection(socket, Origin::Accepted { listener });
        match self.post(to, letter) {
            Err(Letter::Connection(socket, _)) => Err(socket),
            _ => Ok(()),
        }
    }

    /// Puts something into a worker's mailbox, and wakes the worker if it was empty.
    ///
    /// # Errors
    /// Where that worker has ended, or there is none of that number: what was to be put there.
    fn post(&self, to: usize, letter: Letter<OwnedFd>) -> Result<(), Letter<OwnedFd>> {
        if to >= self.mailboxes.len() {
            return Err(letter);
        }
        let mut mailbox = self.mailbox(to);
        let Some(letters) = &mut *mailbox else {
            return Err(letter);
        };
        letters.push(letter);
        if letters.len() == 1 {
            self.wakers[to].wake();
        }
        Ok(())
    }

    /// Empties a worker's mailbox.
    pub(super) fn collect(&self, worker: usize) -> Vec<Letter<OwnedFd>> {
        let letters = self.mailbox(worker).as_mut().map(std::mem::take);
        letters.unwrap_or_default()
    }

    /// A worker has ended: what waits in its mailbox is closed, with a reset where the peer may be in the middle of
    /// something, and nobody puts anything there any more.
    pub(super) fn close(&self, worker: usize) {
        let letters = self.mailbox(worker).take();
        for letter in letters.unwrap_or_default() {
            if let Letter::Connection(socket, Origin::PutDown(_)) = letter {
                reset_on_close(&socket);
            }
        }
    }

    fn mailbox(&self, worker: usize) -> MutexGuard<'_, Mailbox> {
        let mailbox = self.mailboxes[worker].lock();
        mailbox.unwrap_or_else(PoisonError::into_inner)
    }

    /// Who serves a connection that `own` has accepted, and counts it there: `own`, unless another worker has
    /// fewer; then whoever has the fewest.
    fn place(&self, own: usize) -> usize {
        let Some(load) = self.loads.get(own) else {
            return own;
        };
        loop {
            let (mut least, mut fewest) = (own, load.0.load(Relaxed));
            let mut total = 0_usize;
            for (number, load) in self.loads.iter().enumerate() {
                let count = load.0.load(Relaxed);
                total += count;
                if count < fewest {
                    (least, fewest) = (number, count);
                }
            }
            if total >= self.connections_max {
                self.count(own);
                return own;
            }
            // Where somebody else was faster, another may have the fewest now.
            let counted =
                self.loads[least]
                    .0
                    .compare_exchange(fewest, fewest + 1, Relaxed, Relaxed);
            if counted.is_ok() {
                return least;
            }
        }
    }

    fn count(&self, worker: usize) {
        if let Some(load) = self.loads.get(worker) {
            load.0.fetch_add(1, Relaxed);
        }
    }

    fn discount(&self, worker: usize) {
        if let Some(load) = self.loads.get(worker) {
            load.0.fetch_sub(1, Relaxed);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Exchange");
        shown.field("loads", &self.loads).finish_non_exhaustive()
    }
}

/// A worker's share of the connections.
#[derive(Debug)]
pub(super) struct Member {
    exchange: Arc<Exchange>,
    number: usize,
}

impl Member {
    /// Of worker `number`.
    pub(super) fn new(exchange: Arc<Exchange>, number: usize) -> Self {
        Member { exchange, number }
    }

    /// Which other worker is to serve a connection that this one has accepted; none: this one. It counts as
    /// that worker's from now on.
    pub(super) fn place(&self) -> Option<usize> {
        let worker = self.exchange.place(self.number);
        (worker != self.number).then_some(worker)
    }

    /// This worker serves a connection whatever its share: one that was put down for it, or one that it has
    /// accepted to refuse it.
    pub(super) fn keep(&self) {
        self.exchange.count(self.number);
    }

    /// Whether there is a successor, who is to have whom this worker gets.
    pub(super) fn has_successor(&self) -> bool {
        self.exchange.succeeded.load(Relaxed)
    }

    /// What was to be `other`'s could not be handed over: this worker keeps it.
    pub(super) fn take_back(&self, other: usize) {
        self.exchange.discount(other);
        self.keep();
    }

    /// A connection of this worker's has ended, or was put down.
    pub(super) fn leave(&self) {
        self.exchange.discount(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Duration;

    use rustix::net::{AddressFamily, SocketType};

    use super::*;
    use crate::engine::{UringTuning, Worker};
    use crate::memory::SlabPool;
    use crate::protocol::Policy;
    use crate::shard::{Admission, Entrance, Protocol, Settings};

    const ENTRANCE: Entrance = Entrance {
        protocol: Protocol::WebSocket,
        tls: false,
        number: 0,
    };

    fn exchange(workers: usize, connections_max: Option<usize>) -> Arc<Exchange> {
        let stop = Stop::new(workers, Duration::ZERO).unwrap();
        let max = connections_max.and_then(NonZeroUsize::new);
        Arc::new(Exchange::new(&stop, true, max))
    }

    fn loads(exchange: &Exchange) -> Vec<usize> {
        let loads = exchange.loads.iter().map(|load| load.0.load(Relaxed));
        loads.collect()
    }

    #[test]
    fn shares_are_equal_however_many_accept_at_once() {
        let exchange = exchange(4, None);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        exchange.place(3);
                    }
                });
            }
        });
        assert_eq!(loads(&exchange), [5000; 4]);
    }

    #[test]
    fn whoever_has_no_more_than_others_keeps_what_it_accepts() {
        let exchange = exchange(3, None);
        let member = Member::new(exchange.clone(), 1);
        assert_eq!(member.place(), None);
        assert_eq!(member.place(), Some(0));
        assert_eq!(member.place(), Some(2));
        assert_eq!(member.place(), None);
        member.leave();
        assert_eq!(loads(&exchange), [1, 1, 1]);
        member.leave();
        member.keep();
        member.keep();
        assert_eq!(member.place(), Some(0));
        member.take_back(0);
        assert_eq!(loads(&exchange), [1, 3, 1]);
    }

    #[test]
    fn nothing_is_handed_on_where_it_would_be_refused() {
        let exchange = exchange(2, Some(3));
        for _ in 0..5 {
            exchange.place(0);
        }
        assert_eq!(loads(&exchange), [4, 1]);
    }

    #[test]
    fn what_is_brought_goes_to_one_after_the_other() {
        let stop = Stop::new(3, Duration::ZERO).unwrap();
        let exchange = Exchange::new(&stop, false, None);
        for _ in 0..6 {
            let socket =
                rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            let carried = Carried::fresh(ENTRANCE, &Policy::default(), Vec::new(), 0);
            exchange.bring(socket, carried);
        }
        let letters = (0..3).map(|worker| exchange.collect(worker).len());
        assert_eq!(letters.collect::<Vec<_>>(), [2; 3]);
    }

    #[test]
    fn what_waits_for_a_worker_that_ends_is_closed() {
        let stop = Stop::new(2, Duration::ZERO).unwrap();
        let exchange = exchange(2, None);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let letter = || {
            let socket = OwnedFd::from(listener.accept().unwrap().0);
            Letter::Connection(socket, Origin::Accepted { listener: 0 })
        };
        let worker = Worker {
            number: 1,
            settings: Settings {
                policy: Policy::default(),
                budget: SlabPool::budget(1 << 20, 1),
                admission: Arc::new(Admission::new(None)),
                tls: None,
            },
            tally: Arc::default(),
            listeners: Vec::new(),
            entrances: Vec::new(),
            stop: &stop,
            exchange: exchange.clone(),
            tuning: UringTuning::default(),
        };
        assert!(exchange.post(1, letter()).is_ok());
        drop(worker);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        let _other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(exchange.post(1, letter()).is_err());
        assert!(exchange.collect(1).is_empty());
        let (answers, _) = std::sync::mpsc::channel();
        let nobody = exchange.post(2, Letter::RollCall(RollCall { number: 2, answers }));
        assert!(nobody.is_err());
    }

    #[test]
    fn whoever_is_for_a_successor_that_is_gone_comes_back() {
        let exchange = exchange(1, None);
        let (departures, departed) = std::sync::mpsc::channel();
        exchange.succeed(Some(departures));
        let depart = || {
            let socket =
                rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            let carried = Carried::fresh(ENTRANCE, &Policy::default(), Vec::new(), 0);
            exchange.hand_over(socket, carried, Destination::Successor);
        };
        depart();
        assert!(departed.try_recv().is_ok());
        drop(departed);
        depart();
        exchange.succeed(None);
        depart();
        assert_eq!(exchange.collect(0).len(), 2);
    }
}
