//! TCP as far as it matters here: two streams of bytes with room for only so many, FIN, RST, and
//! listeners with queues.

use std::collections::VecDeque;

use ringback::shard::Standing;

/// The largest segment.
const SEGMENT_BYTES: u64 = 1460;

/// One direction of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    bytes: VecDeque<u8>,
    bytes_max: usize,
    /// What the receiver's TCP takes in before anyone reads it; the rest waits with the sender's.
    window: u64,
    /// Bytes given to the sender's TCP so far.
    written: u64,
    /// Up to where the receiver has offered its window.
    offered: u64,
    /// Bytes that the receiver's TCP has acknowledged so far.
    acknowledged: u64,
    /// FIN follows the bytes.
    finished: bool,
}

impl Stream {
    fn new(bytes_max: usize) -> Self {
        let window = bytes_max.div_ceil(2) as u64;
        Stream {
            bytes: VecDeque::new(),
            bytes_max,
            window,
            written: 0,
            offered: window,
            acknowledged: 0,
            finished: false,
        }
    }

    /// Bytes that have arrived: some, if there are any.
    fn there(&self) -> usize {
        let waiting = self.written - self.acknowledged;
        self.bytes.len() - waiting as usize
    }

    /// Bytes that the receiver has read.
    fn taken(&self) -> u64 {
        self.written - self.bytes.len() as u64
    }

    /// Bytes that have arrived so far.
    fn arrived(&self) -> u64 {
        self.acknowledged
    }

    /// FIN has arrived.
    fn is_at_fin(&self) -> bool {
        self.finished && self.acknowledged == self.written
    }

    /// What the window allows goes over. It opens again in steps worth a segment (RFC 9293, section
    /// 3.8.6.2.2).
    fn travel(&mut self) {
        let edge = self.taken() + self.window;
        if edge - self.offered >= SEGMENT_BYTES.min(self.window.div_ceil(2)) {
            self.offered = edge;
        }
        self.acknowledged = self.written.min(self.offered);
    }

    fn lose(&mut self) {
        self.bytes.clear();
        self.travel();
    }

    fn room(&self) -> usize {
        self.bytes_max - self.bytes.len()
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.bytes.extend(&bytes[..count]);
        self.written += count as u64;
        self.travel();
        count
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.there());
        for (place, byte) in into.iter_mut().zip(self.bytes.drain(..count)) {
            *place = byte;
        }
        self.travel();
        count
    }
}

/// Which connection: its number in the order of connecting.
pub(crate) type Line = usize;

/// How far the server's side of a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// In a listener's queue.
    Queued,
    Open,
    Closed,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) up: Stream,
    pub(crate) down: Stream,
    pub(crate) server: Side,
    /// The peer has closed its socket: whatever reaches it is answered by RST.
    peer_closed: bool,
    /// RST has come to the server.
    pub(crate) broken: bool,
    /// RST has come to the peer.
    pub(crate) cut: bool,
    /// The server has given it up, and waits for what is under way for it.
    pub(crate) leaving: bool,
    /// The server has ever had something to send.
    pub(crate) answered: bool,
    /// When the server put it down, until it is picked up.
    pub(crate) away: Option<Stamp>,
    /// It has been picked up.
    pub(crate) moved: bool,
    /// How many bytes had come from it when the server was told to stop, if it was answered by then.
    pub(crate) last_words: Option<u64>,
    /// When it was accepted.
    pub(crate) accepted_at: Stamp,
    /// When the server last had anything to do with it.
    pub(crate) touched_at: Stamp,
    /// When the server sent FIN.
    pub(crate) finished_at: Option<Stamp>,
    /// When the server last learned that the peer had said something.
    pub(crate) heard_at: Stamp,
    /// When the peer's TCP last acknowledged something, or something was owed to it after a while.
    pub(crate) progress_at: Stamp,
    /// How it stood when the server decided to give it up.
    given_up: Option<Farewell>,
    /// How it stood when the server had said its last, or closed.
    pub(crate) farewell: Option<Farewell>,
}

/// A moment, and how much of the time until then the server could not know of: the clock had jumped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stamp {
    pub(crate) now: u64,
    pub(crate) lost: u64,
}

impl Stamp {
    /// The time that a server could have used since `earlier`, in nanoseconds.
    pub(crate) fn since(self, earlier: Stamp) -> u64 {
        (self.now - earlier.now).saturating_sub(self.lost - earlier.lost)
    }
}

/// How a connection stood when the server gave it up, or said its last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Farewell {
    pub(crate) line: Line,
    pub(crate) reset: bool,
    pub(crate) broken: bool,
    /// The peer has sent FIN.
    pub(crate) answered: bool,
    pub(crate) at: u64,
    /// Nanoseconds since the server last heard anything from the peer.
    pub(crate) silent: u64,
    /// Nanoseconds for which something has been owed to the peer, and its TCP has acknowledged nothing.
    pub(crate) stalled: u64,
    /// Bytes that its TCP has not acknowledged.
    pub(crate) outstanding: u64,
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Bytes(usize),
    Finished,
    Nothing,
    Failed,
}

/// All connections and listeners.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) connections: Vec<Connection>,
    pub(crate) queues: Vec<VecDeque<Line>>,
    queue_max: usize,
    /// Sockets that the server has open.
    pub(crate) open: usize,
    pub(crate) clock: Stamp,
    /// Whom the server has left since this was last looked at.
    pub(crate) farewells: Vec<Farewell>,
}

impl Network {
    pub(crate) fn new(listeners: usize, queue_max: usize) -> Self {
        Network {
            connections: Vec::new(),
            queues: vec![VecDeque::new(); listeners],
            queue_max,
            open: 0,
            clock: Stamp::default(),
            farewells: Vec::new(),
        }
    }

    /// A peer connects; none: the queue is full.
    pub(crate) fn connect(&mut self, listener: usize, up: usize, down: usize) -> Option<Line> {
        if self.queues[listener].len() >= self.queue_max {
            return None;
        }
        let line = self.connections.len();
        self.connections.push(Connection {
            up: Stream::new(up),
            down: Stream::new(down),
            server: Side::Queued,
            peer_closed: false,
            broken: false,
            cut: false,
            leaving: false,
            answered: false,
            away: None,
            moved: false,
            last_words: None,
            accepted_at: Stamp::default(),
            touched_at: Stamp::default(),
            finished_at: None,
            heard_at: Stamp::default(),
            progress_at: Stamp::default(),
            given_up: None,
            farewell: None,
        });
        self.queues[listener].push_back(line);
        Some(line)
    }

    /// The server takes a connection from a queue.
    pub(crate) fn accept(&mut self, listener: usize) -> Option<Line> {
        let line = self.queues[listener].pop_front()?;
        self.connections[line].server = Side::Open;
        self.open += 1;
        self.enter(line);
        Some(line)
    }

    /// The server has it from now on.
    pub(crate) fn enter(&mut self, line: Line) {
        let connection = &mut self.connections[line];
        connection.accepted_at = self.clock;
        connection.heard_at = self.clock;
        connection.progress_at = self.clock;
        self.touch(line);
    }

    /// The connection at the front of a queue comes to nothing, if its peer has left already.
    pub(crate) fn abort(&mut self, listener: usize) -> bool {
        let left = |line: &Line| self.connections[*line].broken;
        let aborts = self.queues[listener].front().is_some_and(left);
        if aborts && let Some(line) = self.queues[listener].pop_front() {
            self.connections[line].server = Side::Closed;
        }
        aborts
    }

    /// The server had to do with it.
    pub(crate) fn touch(&mut self, line: Line) {
        self.connections[line].touched_at = self.clock;
    }

    /// The server learns that the peer has said something.
    pub(crate) fn hear(&mut self, line: Line) {
        self.connections[line].heard_at = self.clock;
    }

    /// The server is told to stop.
    pub(crate) fn drain(&mut self) {
        for connection in &mut self.connections {
            if connection.answered {
                connection.last_words = Some(connection.up.arrived());
            }
        }
    }

    /// Bytes that the server has read.
    pub(crate) fn heard(&self, line: Line) -> u64 {
        self.connections[line].up.taken()
    }

    fn farewell(&self, line: Line, reset: bool) -> Farewell {
        let connection = &self.connections[line];
        Farewell {
            line,
            reset,
            broken: connection.broken,
            answered: connection.up.finished,
            at: self.clock.now,
            silent: self.clock.now - connection.heard_at.now,
            stalled: self.clock.now - connection.progress_at.now,
            outstanding: connection.down.written - connection.down.acknowledged,
        }
    }

    /// The server has decided to end it, and waits for what is under way for it.
    pub(crate) fn give_up(&mut self, line: Line, reset: bool) {
        let farewell = self.farewell(line, reset);
        let connection = &mut self.connections[line];
        connection.leaving = true;
        connection.given_up.get_or_insert(farewell);
    }

    /// The dialogue is over, as far as the server is concerned.
    pub(crate) fn begin_end(&mut self, line: Line) {
        let farewell = self.farewell(line, false);
        self.connections[line].farewell.get_or_insert(farewell);
    }

    /// Whether a read has something to say.
    pub(crate) fn is_readable(&self, line: Line) -> bool {
        let connection = &self.connections[line];
        connection.broken || connection.up.finished || !connection.up.bytes.is_empty()
    }

    /// How many bytes a write may take.
    pub(crate) fn room(&self, line: Line) -> usize {
        self.connections[line].down.room()
    }

    /// Both directions are shut, or the connection is broken.
    pub(crate) fn is_hung_up(&self, line: Line) -> bool {
        let connection = &self.connections[line];
        connection.broken || (connection.up.finished && connection.down.finished)
    }

    pub(crate) fn read(&mut self, line: Line, into: &mut [u8]) -> Read {
        self.touch(line);
        let connection = &mut self.connections[line];
        match connection.up.read(into) {
            0 if connection.broken => Read::Failed,
            0 if connection.up.finished => Read::Finished,
            0 => Read::Nothing,
            count => Read::Bytes(count),
        }
    }

    /// How many bytes went; none where the connection is broken.
    pub(crate) fn write(&mut self, line: Line, bytes: &[u8]) -> Option<usize> {
        let connection = &mut self.connections[line];
        assert!(
            !connection.down.finished,
            "connection {line}: bytes after FIN"
        );
        if connection.broken {
            return None;
        }
        if connection.peer_closed {
            connection.broken = true;
            return Some(bytes.len());
        }
        let down = &mut connection.down;
        let (acknowledged, owed) = (down.acknowledged, down.acknowledged < down.written);
        let count = down.write(bytes);
        if !owed || down.acknowledged > acknowledged {
            connection.progress_at = self.clock;
        }
        if count > 0 {
            self.touch(line);
        }
        Some(count)
    }

    /// How the peer stands, as the server's kernel knows it.
    pub(crate) fn standing(&self, line: Line) -> Standing {
        let Connection {
            up, down, broken, ..
        } = &self.connections[line];
        let outstanding = down.acknowledged < down.written;
        match broken {
            true => Standing::default(),
            // FIN has a sequence number, too (RFC 9293, section 3.4), and Linux counts it.
            false => Standing {
                acknowledged: down.acknowledged + u64::from(down.finished && !outstanding),
                outstanding,
                received: up.arrived() + u64::from(up.is_at_fin()),
                finished: up.is_at_fin(),
            },
        }
    }

    /// The server sends FIN.
    pub(crate) fn finish(&mut self, line: Line) {
        self.touch(line);
        self.begin_end(line);
        let connection = &mut self.connections[line];
        connection.down.finished = true;
        connection.finished_at = Some(self.clock);
    }

    /// The server closes its socket. RST goes out where it asks for that, and where it has not read all.
    pub(crate) fn close(&mut self, line: Line, reset: bool) {
        let farewell = self.farewell(line, reset);
        let connection = &mut self.connections[line];
        let decided = connection.given_up.take().unwrap_or(farewell);
        // What was to be a FIN becomes a reset where the peer breaks the connection meanwhile.
        let broken = decided.broken || (farewell.broken && !decided.reset);
        self.farewells.push(Farewell {
            reset,
            broken,
            ..decided
        });
        connection.farewell.get_or_insert(farewell);
        assert_eq!(
            connection.server,
            Side::Open,
            "connection {line} is closed twice"
        );
        connection.server = Side::Closed;
        self.open -= 1;
        connection.down.finished = true;
        if reset || !connection.up.bytes.is_empty() {
            connection.cut = true;
        }
    }

    /// What the peer sends; none: RST came back.
    pub(crate) fn peer_write(&mut self, line: Line, bytes: &[u8]) -> Option<usize> {
        let connection = &mut self.connections[line];
        connection.cut |= connection.server == Side::Closed;
        if connection.cut || connection.broken {
            return None;
        }
        Some(connection.up.write(bytes))
    }

    /// How much the peer could read, and send.
    pub(crate) fn peer_sees(&self, line: Line) -> (usize, usize) {
        let connection = &self.connections[line];
        (connection.down.there(), connection.up.room())
    }

    /// Whether all that was sent has been read, and FIN follows.
    pub(crate) fn peer_at_end(&self, line: Line) -> bool {
        let down = &self.connections[line].down;
        down.finished && down.bytes.is_empty()
    }

    pub(crate) fn peer_read(&mut self, line: Line, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let connection = &mut self.connections[line];
        let acknowledged = connection.down.acknowledged;
        let count = connection.down.read(&mut bytes);
        if connection.down.acknowledged > acknowledged {
            connection.progress_at = self.clock;
        }
        bytes.truncate(count);
        bytes
    }

    /// The peer sends FIN.
    pub(crate) fn peer_finish(&mut self, line: Line) {
        self.connections[line].up.finished = true;
    }

    /// The peer closes its socket; what it has not read makes that a reset.
    pub(crate) fn peer_close(&mut self, line: Line) {
        let connection = &mut self.connections[line];
        connection.up.finished = true;
        connection.peer_closed = true;
        if !connection.down.bytes.is_empty() {
            connection.broken = true;
        }
    }

    /// The peer sends RST. What it sent before may be lost or not.
    pub(crate) fn peer_reset(&mut self, line: Line, lose: bool) {
        let connection = &mut self.connections[line];
        connection.broken = true;
        connection.peer_closed = true;
        if lose {
            connection.up.lose();
        }
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self, line: Line) -> usize {
        self.connections[line].up.there()
    }
}
