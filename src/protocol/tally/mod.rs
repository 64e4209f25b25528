//! Counters: one writer (the worker), any number of readers, no read-modify-write that the processor would have to
//! make atomic.
//!
//! [`Tally`] and [`TABLE`] are written down once, in one table: a line there is a field to count with, a metric at
//! `/metrics`, a number in what SIGUSR1 has told, and a row of `docs/metrics.md`.
//!
//! | file | what it is |
//! |---|---|
//! | `counter.rs` | a number, and how long things took |
//! | `labels.rs` | numbers that are told apart by a label, whose values are known beforehand |
//! | `table.rs` | how what is counted is told |

mod counter;
mod labels;
mod table;

pub use counter::{Counter, DURATION_BUCKETS, Durations, Peak};
pub use labels::{By, Closes, Labels, Messages, Opcode, Stage, Stages, Status, Waited};
pub use table::{Counted, Kind, Row, Sample, Scope, Value};

use super::close::Violation;

/// Makes the tally and its table of lines like
///
/// ```text
/// /// Connections accepted.
/// accepted: Counter = counter "ringback_connections_accepted" by_worker;
/// ```
///
/// The comment is the help. `by_worker` gives each worker's number, `in_all` their sum. A counter's name gets its
/// `_total` when it is shown.
macro_rules! tally {
    ($($(#[doc = $help:literal])+ $field:ident: $type:ty = $kind:ident $metric:literal $scope:ident;)*) => {
        /// What one worker has seen since it started.
        #[derive(Debug, Default)]
        pub struct Tally {
            $($(#[doc = $help])+ pub $field: $type,)*
        }

        /// Every field of a [`Tally`], as it is told.
        pub const TABLE: &[Row<Tally>] = &[$(Row {
            metric: $metric,
            help: concat!($($help),+),
            kind: Kind::$kind,
            scope: Scope::$scope,
            labels: <$type as Counted>::LABELS,
            read: |tally| tally.$field.samples(),
        },)*];
    };
}

tally! {
    /// Connections of workers now, by the address that they came in by, as `--listen` has it, and by how far they are: the
    /// handshake, open, or the end. `other` is an address that is no longer listened on.
    stages: Stages = gauge "ringback_connections" by_worker;
    /// Connections accepted.
    accepted: Counter = counter "ringback_connections_accepted" by_worker;
    /// Connections that ended.
    ended: Counter = counter "ringback_connections_ended" by_worker;
    /// Connections put down, for somebody else to go on with: another worker, the HTTP side, a successor.
    put_down: Counter = counter "ringback_connections_put_down" by_worker;
    /// Connections picked up, which somebody else had put down.
    picked_up: Counter = counter "ringback_connections_picked_up" by_worker;
    /// Requests that workers answered, by status: 101 is an upgrade, all others are refusals.
    handshakes: By<Status> = counter "ringback_handshakes" in_all;
    /// Whole messages and control frames, by direction and opcode.
    messages: Messages = counter "ringback_messages" in_all;
    /// Payload of frames, by direction and opcode, as it is on the wire (compressed, if it is). A frame counts at its
    /// end.
    payload_bytes: Messages = counter "ringback_payload_bytes" in_all;
    /// Bytes that workers received, handshakes and frame headers included.
    received_bytes: Counter = counter "ringback_received_bytes" by_worker;
    /// Bytes that workers answered with, handshakes and frame headers included. They count when they are queued.
    answered_bytes: Counter = counter "ringback_answered_bytes" by_worker;
    /// Close frames that began a closing, by whom and with which code. `none` is a Close without a code, `other` any that
    /// is not listed.
    closes: Closes = counter "ringback_closes" in_all;
    /// Connections closed for a violation of the protocol, by which.
    violations: By<Violation> = counter "ringback_violations" in_all;
    /// Connections ended by a deadline, by what was waited for.
    timeouts: By<Waited> = counter "ringback_timeouts" in_all;
    /// Connections that do not keep up with what they are sent, now.
    behind: Counter = gauge "ringback_connections_behind" by_worker;
    /// Connections ended because they did not read and the memory for such peers was spent.
    shed: Counter = counter "ringback_connections_shed" in_all;
    /// Connections over the limits of their source that were closed without a word.
    turned_away: Counter = counter "ringback_connections_turned_away" in_all;
    /// Connections of load balancers that did not begin with a header of the PROXY protocol.
    prefaces_refused: Counter = counter "ringback_prefaces_refused" in_all;
    /// Times that nothing was taken in from a peer for a while, since it sends faster than it may.
    rests: Counter = counter "ringback_rests" in_all;
    /// TLS handshakes completed.
    tls_handshakes: Counter = counter "ringback_tls_handshakes" in_all;
    /// Of those, how many resumed what was agreed on before, by a ticket.
    tls_resumed: Counter = counter "ringback_tls_resumed" in_all;
    /// TLS handshakes that failed.
    tls_refused: Counter = counter "ringback_tls_refused" in_all;
    /// TLS connections that broke after their handshake: records that cannot be opened.
    tls_broken: Counter = counter "ringback_tls_broken" in_all;
    /// Connections that spoke plain HTTP where TLS is spoken.
    plain_to_tls: Counter = counter "ringback_plain_to_tls" in_all;
    /// Connections that spoke TLS where it is not spoken.
    tls_to_plain: Counter = counter "ringback_tls_to_plain" in_all;
    /// Handshakes in which permessage-deflate was agreed on.
    deflating: Counter = counter "ringback_deflate_agreed" in_all;
    /// Compressed text messages inflated to their end and found right.
    inflated: Counter = counter "ringback_inflated_messages" in_all;
    /// Bytes that compressed text was inflated to.
    inflated_bytes: Counter = counter "ringback_inflated_bytes" in_all;
    /// Compressed text messages passed on unchecked from somewhere on: there was no memory for an inflater, or the
    /// connection had been put down amid them.
    unchecked: Counter = counter "ringback_inflated_unchecked_messages" in_all;
    /// Receives that the uring engine began, each of which goes on until it is cancelled or runs out of buffers.
    receives_armed: Counter = counter "ringback_uring_receives_armed" in_all;
    /// Receives of the uring engine that found no buffer (ENOBUFS).
    no_buffers: Counter = counter "ringback_uring_no_buffers" in_all;
    /// Turns of the loop that were timed, one in 64, by how long they took without waiting. On the tokio-uring engine:
    /// the runtime's, one for each 64 receives.
    turns: Durations = histogram "ringback_turn_duration_seconds" by_worker;
    /// The longest of the turns that were timed, since the start.
    turn_max: Peak = gauge "ringback_turn_duration_max_seconds" by_worker;
}

impl Tally {
    /// For connections that come in by entrances of these names, which must differ.
    pub fn new(entrances: Vec<String>) -> Self {
        Tally {
            stages: Stages::new(entrances),
            ..Tally::default()
        }
    }

    /// Whole data messages received.
    pub fn data_messages(&self) -> u64 {
        self.messages.received(Opcode::Text) + self.messages.received(Opcode::Binary)
    }

    /// Whole data messages sent.
    pub fn data_messages_sent(&self) -> u64 {
        self.messages.sent(Opcode::Text) + self.messages.sent(Opcode::Binary)
    }

    /// Requests answered with anything but 101.
    pub fn refused(&self) -> u64 {
        self.handshakes.sum() - self.handshakes.at(Status(101)).get()
    }

    /// Connections that are here now. What left is read first: whoever comes meanwhile is counted, or not.
    pub fn present(&self) -> u64 {
        let left = self.ended.get() + self.put_down.get();
        (self.accepted.get() + self.picked_up.get()).saturating_sub(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_told_under_a_name_that_prometheus_would_give_it() {
        let mut names: Vec<_> = TABLE.iter().map(|row| row.metric).collect();
        for row in TABLE {
            let name = row.metric;
            assert!(name.starts_with("ringback_"), "{name}");
            assert!(!name.ends_with("_total"), "{name}: the page appends it");
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            assert!(name.bytes().all(is_plain), "{name}");
            assert!(row.help.trim().ends_with('.'), "{name}: {}", row.help);
        }
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "no name twice");
    }

    #[test]
    fn what_is_counted_is_told_with_its_labels() {
        let tally = Tally::new(vec!["a".to_owned(), "b".to_owned()]);
        tally.handshakes.at(Status(101)).add(2);
        tally.handshakes.at(Status(599)).add(1);
        tally.messages.echoed(Opcode::Text).add(3);
        tally.messages.sent_alone(Opcode::Ping).add(1);
        tally.violations.at(Violation::Utf8).add(1);
        tally.stages.of(1).at(Stage::Open).add(2);
        tally.stages.of(1).at(Stage::Open).sub(1);
        tally.stages.of(7).at(Stage::Closing).add(3);
        let told = |metric: &str, labels: &[&str]| {
            let row = TABLE.iter().find(|row| row.metric == metric).unwrap();
            let samples = (row.read)(&tally);
            let sample = samples.iter().find(|it| it.labels == labels).unwrap();
            sample.value.clone()
        };
        assert_eq!(told("ringback_handshakes", &["101"]), Value::Whole(2));
        assert_eq!(told("ringback_handshakes", &["other"]), Value::Whole(1));
        assert_eq!(told("ringback_messages", &["in", "text"]), Value::Whole(3));
        assert_eq!(told("ringback_messages", &["out", "text"]), Value::Whole(3));
        assert_eq!(told("ringback_messages", &["out", "ping"]), Value::Whole(1));
        assert_eq!(told("ringback_messages", &["in", "ping"]), Value::Whole(0));
        let violation = &[Violation::Utf8.reason()];
        assert_eq!(told("ringback_violations", violation), Value::Whole(1));
        let connections = |labels| told("ringback_connections", labels);
        assert_eq!(connections(&["b", "open"]), Value::Whole(1));
        assert_eq!(connections(&["a", "open"]), Value::Whole(0));
        assert_eq!(connections(&["other", "closing"]), Value::Whole(3));
    }
}
