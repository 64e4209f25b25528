//! The side of the process that is succeeded.

use std::os::fd::AsFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tracing::{info, warn};

use super::line::{Line, Listening, Word};
use super::sending::{Sending, descriptors_max};
use super::{Estate, Failure, News, PROTOCOL_VERSION};
use crate::engine::Exchange;
use crate::serve::inbox::{Event, Events};
use crate::serve::listeners::Listeners;
use crate::serve::manager;
use crate::shard::ENCODING_VERSION;

/// How long a successor may take to start, and to read its configuration.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to start its workers. Locked memory that is short is waited for.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How long a successor that has cut the line may take to end.
const ENDING_PATIENCE: Duration = Duration::from_secs(1);

/// A handover under way.
pub(in crate::serve) struct Handover {
    line: Line,
    successor: Pid,
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
        let successor = Pid::from_child(&child);
        info!("starting a successor: process {}, {path}", child.id());
        let called_off = Arc::new(AtomicBool::new(false));
        let side = Side {
            sending: Sending::new(estate, line),
            child,
            called_off: called_off.clone(),
            events,
            unused: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("succession".to_owned())
            .spawn(move || side.run());
        Ok(Handover {
            line: handle,
            successor,
            called_off,
            thread: thread.map_err(|error| error.to_string())?,
        })
    }

    /// Calls it off: what has not been handed over stays, and the successor is to stop as this process is.
    pub(in crate::serve) fn call_off(&self) {
        self.called_off.store(true, Relaxed);
        self.line.cut();
    }

    /// Tells the successor to stop, which has been told that it is the only one now.
    pub(in crate::serve) fn stop_successor(&self) {
        stop(self.successor);
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
    sending: Sending,
    child: Child,
    called_off: Arc<AtomicBool>,
    events: Events,
    /// Of what this process listens on, what the successor does not.
    unused: Vec<usize>,
}

impl Side {
    fn run(mut self) {
        let handed_over = self.greet().and_then(|()| self.hand_over());
        if let Err(failure) = handed_over {
            let why = self.take_back(&failure);
            self.events.send(Event::Succession(News::Failed(why)));
            // Somebody has to.
            let _ = self.child.wait();
            return;
        }
        if let Err(failure) = self.sending.send_stragglers() {
            // It is the successor that serves, and this process that ends: whoever comes back is told goodbye here.
            self.sending.bring_back();
            warn!("the successor takes over nothing more: {failure}");
        }
    }

    /// Brings the successor to where its workers wait to be told to accept.
    fn greet(&mut self) -> Result<(), Failure> {
        let line = &self.sending.line;
        let (Word::Hello(hello), _) = line.hear_word(GREETING_PATIENCE)? else {
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
        send_listeners(line, &self.sending.estate.listeners)?;
        let (Word::Ready { room, unused }, _) = line.hear_word(READY_PATIENCE)? else {
            return Err(Failure::Foreign("no word that it is ready"));
        };
        self.sending.room = room.unwrap_or(usize::MAX);
        self.unused = unused;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let (sending, pid) = (&mut self.sending, self.child.id());
        sending.begin()?;
        self.events.send(Event::Succession(News::Serves { pid }));
        sending.send_all()?;
        let staying = sending.estate.admission.present();
        // Before the successor says anything itself.
        manager::main_process_is(pid);
        if let Err(failure) = sending.line.say(&Word::Done { staying }) {
            manager::main_process_is(std::process::id());
            return Err(failure);
        }
        let (sent, took) = (sending.sent, begun.elapsed());
        // Before the workers hear that they may end.
        self.empty_unused_queues();
        self.events.send(Event::Succession(News::Done {
            sent,
            staying,
            took,
        }));
        Ok(())
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
        self.sending.bring_back();
        self.sending.estate.stop.set_accepting(true);
        let why = match failure {
            _ if called_off => {
                stop(Pid::from_child(&self.child));
                "this process is told to stop".to_owned()
            }
            Failure::Gone => self.how_it_has_ended(),
            Failure::Own(why) => why.clone(),
            failure => format!("the successor is no good: {failure}"),
        };
        match self.sending.sent {
            0 => why,
            sent => format!("{why}; {sent} connections had been handed over"),
        }
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
        let Estate {
            listeners,
            exchange,
            workers,
            ..
        } = &*self.sending.estate;
        let all = listeners.numbered(*workers).enumerate();
        for (_, (number, served)) in all.filter(|(place, _)| self.unused.contains(place)) {
            info!("no longer listening on {}", served.label.address());
            for socket in &served.sockets {
                while !served.tls
                    && let Ok((stream, _)) = socket.accept()
                {
                    exchange.admit(stream.into(), number as u32);
                }
                // For all who have it open: whoever comes now is refused by the kernel.
                let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
            }
        }
    }
}

fn send_listeners(line: &Line, listeners: &Listeners) -> Result<(), Failure> {
    let served = &listeners.0;
    let all = served.iter().map(|it| Listening {
        label: it.label.clone(),
        tls: it.tls,
        sockets: it.sockets.len(),
    });
    let mut word = Word::Listeners(all.collect());
    let sockets = served.iter().flat_map(|it| &it.sockets);
    let sockets: Vec<_> = sockets.map(AsFd::as_fd).collect();
    for some in sockets.chunks(descriptors_max()) {
        line.say_with(&word, some)?;
        word = Word::Sockets;
    }
    Ok(())
}

/// Tells a successor to stop, as this process is told: what it has taken over it closes as it should be closed.
fn stop(successor: Pid) {
    // It may have ended, and nobody has waited for it yet.
    let _ = kill_process(successor, Signal::TERM);
}
