//! The listener, and what all connections of a server share.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::log::Log;
use super::script::{Reading, Script};
use super::{raw, websocket};

/// A receive buffer that is full soon.
const SMALL_BUFFER_BYTES: usize = 32 * 1024;

/// A fake server on a free port of 127.0.0.1. It lives until the test ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) script: Script,
    began: Instant,
    messages: AtomicU64,
    log: Mutex<Log>,
}

impl Server {
    /// Serves WebSocket, a thread per connection.
    pub(crate) fn websocket(script: impl Into<Script>) -> Server {
        Server::spawn(script.into(), websocket::serve)
    }

    /// Serves raw bytes.
    pub(crate) fn raw(script: impl Into<Script>) -> Server {
        Server::spawn(script.into(), raw::serve)
    }

    fn spawn(
        script: Script,
        serve: fn(TcpStream, usize, &Arc<Shared>) -> std::io::Result<()>,
    ) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        if script.reading != Reading::Eager {
            // Connections inherit it; set later, it would not bound the window any more.
            let socket = SockRef::from(&listener);
            socket.set_recv_buffer_size(SMALL_BUFFER_BYTES).unwrap();
        }
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            began: Instant::now(),
            messages: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let server = Server {
            address,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for (ordinal, stream) in listener.incoming().enumerate() {
                let shared = Arc::clone(&shared);
                // A client that goes away in the middle is no concern of the fake's.
                thread::spawn(move || drop(serve(stream.unwrap(), ordinal, &shared)));
            }
        });
        server
    }

    /// Where it serves, as a URL.
    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// What happened so far.
    pub(crate) fn log(&self) -> Log {
        self.shared.log().clone()
    }

    /// What happened so far; the client must have kept to RFC 6455.
    pub(crate) fn log_without_complaints(&self) -> Log {
        let log = self.log();
        assert!(log.complaints.is_empty(), "{:?}", log.complaints);
        log
    }
}

impl Shared {
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Counts a message that has just been read, stands still if it is time to, and says how long its
    /// reply is to be held.
    pub(crate) fn arrival(&self) -> Duration {
        let number = self.messages.fetch_add(1, Ordering::Relaxed);
        let Some(stall) = self.script.stall else {
            return self.script.delay.of(number, self.began.elapsed());
        };
        let now = Instant::now();
        let end = {
            let mut log = self.log();
            if number == stall.after {
                log.stall = Some((now, now + stall.length));
            }
            log.stall.map(|(_, end)| end)
        };
        if let Some(end) = end {
            thread::sleep(end.saturating_duration_since(now));
        }
        self.script.delay.of(number, self.began.elapsed())
    }
}
